"""Loads and saves the evaluation state of profiles."""
