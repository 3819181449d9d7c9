"""Runtime of projections: batches, checkpoints, workers, erasure."""
