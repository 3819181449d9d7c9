"""Automation: commands about rules, and recording of due firings."""
