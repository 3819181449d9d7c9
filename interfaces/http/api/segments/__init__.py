"""Routes for segments, members, manual lists and computed attributes."""
