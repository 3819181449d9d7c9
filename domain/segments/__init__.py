"""Segments and computed attributes: what is defined and which changes are allowed."""
