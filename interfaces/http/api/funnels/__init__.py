"""Routes for funnels, goals and saved funnels."""
