"""Applies definitions of segments, computed attributes and rules."""
