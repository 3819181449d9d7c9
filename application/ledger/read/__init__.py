"""Reads over the ledger: history, identity, positions, snapshots, as-of."""
