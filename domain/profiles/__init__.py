"""State of a profile: attributes, tags, devices and groups, as of any position."""
