"""Applies changed definitions of segments, attributes and rules."""
