"""Backfill of accumulators and members for new definitions."""
