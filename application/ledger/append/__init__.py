"""The append transaction: group commit, preparation, binary COPY, evidence."""
