"""Shared building blocks of the domain: ids, errors, names, paths, time."""
