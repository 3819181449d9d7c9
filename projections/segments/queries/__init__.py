"""Queries over segments, rules and computed attributes."""
