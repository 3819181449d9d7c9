"""Funnels and goals: how far each profile gets along ordered steps."""
