"""Erasure and suppression in the ledger."""
