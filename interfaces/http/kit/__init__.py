"""Helpers that several routes share: authentication, errors, parameters."""
