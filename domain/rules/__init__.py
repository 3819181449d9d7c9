"""Automation rules: trigger, audience, wait, options and actions."""
