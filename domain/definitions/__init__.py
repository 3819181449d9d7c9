"""Definitions: the aggregate that segments, rules, endpoints and other kinds are."""
