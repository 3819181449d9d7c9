"""The `foldline` command: every sub-command is a module, and imports what it needs when it runs."""
