"""Queries of segments, computed attributes and rules."""
