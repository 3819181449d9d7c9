"""Commands about profiles: merge and unmerge, erase, suppress and lift a suppression."""
