"""Building blocks that every package of the domain uses; imports nothing else."""
