"""Rebuild and verification of read models in a shadow schema."""
