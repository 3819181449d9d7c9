"""Translates Infobip segments into conditions."""
