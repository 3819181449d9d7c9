"""Messages, the events of the ledger, and the registry of event classes."""
