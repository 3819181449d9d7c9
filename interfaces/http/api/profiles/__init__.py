"""Routes for profiles: history, export, merge, erase."""
