"""State of a profile: attributes, tags, devices, groups, as of any position."""
