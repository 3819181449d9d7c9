"""Messages from outside and the events of the ledger, with their registry."""
