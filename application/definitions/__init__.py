"""Definitions: commands that record segments, lists, computed attributes, rules and funnels."""
