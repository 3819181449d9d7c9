"""Evaluation engine: segment membership and rule runs from events and timers."""
