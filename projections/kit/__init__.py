"""Helpers that several read models share."""
