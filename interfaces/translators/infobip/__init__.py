"""Infobip segments and events as conditions."""
