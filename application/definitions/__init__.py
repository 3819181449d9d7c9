"""Commands that define, change and archive segments, rules, funnels and attributes."""
