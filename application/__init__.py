"""What can be asked of the ledger, and the one place where events are appended."""
