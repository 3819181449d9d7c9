"""Embedded PostgreSQL: used when no server is configured."""
