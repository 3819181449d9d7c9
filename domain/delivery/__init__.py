"""Outbound subscriptions and the retry policy of deliveries."""
