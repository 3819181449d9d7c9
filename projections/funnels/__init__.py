"""Questions over the events of many people at once: not a read model, but asked of several."""
