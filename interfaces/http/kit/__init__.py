"""Helpers shared by all routes: authentication, errors, parameters, responses."""
