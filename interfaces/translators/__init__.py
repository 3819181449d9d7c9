"""Translators of other systems' segment definitions into Foldline's."""
