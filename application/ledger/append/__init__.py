"""Appends to the ledger: preparation, group commit, the transaction, tamper evidence."""
