"""Outbound deliveries: signed webhooks, and rule commands recorded in the ledger."""
