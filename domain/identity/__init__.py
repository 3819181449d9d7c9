"""Identity resolution: which identifiers belong to one profile."""
