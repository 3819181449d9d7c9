"""Segments and computed attributes: their definitions, and the changes that are allowed."""
