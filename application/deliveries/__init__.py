"""Does what rules and streams ask for: sends webhooks, and puts commands back into the ledger."""
