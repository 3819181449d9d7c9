"""Reads and writes the evaluation state of profiles."""
