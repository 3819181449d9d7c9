"""Reads from the ledger: history, identity, positions, snapshots, as-of."""
