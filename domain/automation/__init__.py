"""Automation rules: what sets them off, for whom, when, and what is done then."""
