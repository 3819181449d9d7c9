"""Erasure and suppression of profiles in the ledger."""
