"""Commands on profiles: merge, unmerge, erase, suppress."""
