"""Automation: recording of due rule firings."""
