"""The append-only ledger of events, and all SQL of the write side."""
