"""Standard events that are derived from messages."""
