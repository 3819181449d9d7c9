"""Translators of other systems' definitions into Foldline's."""
