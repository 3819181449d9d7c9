"""Funnels and goals: queries over several read models, not a read model of their own."""
