"""Entry points of Foldline: HTTP API, wire formats, command line, and their composition."""
