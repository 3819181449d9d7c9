"""The append-only ledger: the one place that writes what happened, and all the SQL it takes."""
