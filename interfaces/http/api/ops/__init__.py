"""Routes for operators: status, keys, rejected messages, projections, schemas."""
