"""SQL of the write side, one module per table."""
