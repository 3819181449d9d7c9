"""Standard events that follow from messages."""
