"""Automation rules: trigger, audience, options and actions."""
