"""The `foldline` command: every sub-command is a module, and imports what it needs when it runs."""

import gc

# Before all else is loaded: what a start loads stays, and looking for garbage in it took a fifth of the time.
gc.set_threshold(50_000, 20, 50)
