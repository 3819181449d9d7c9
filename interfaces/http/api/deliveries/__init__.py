"""Routes for endpoints, subscriptions and deliveries."""
