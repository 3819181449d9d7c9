"""How much the benchmarks do: all of it, or a part, to see in a minute that they work."""

from __future__ import annotations

import os

# Read when imported: once the session has begun, the settings of the developer's own are gone.
SCALE = float(os.environ.get("FOLDLINE_BENCH_SCALE") or 1)
"""``FOLDLINE_BENCH_SCALE=0.02`` does a fiftieth of the work, and holds nobody to an acceptance bar."""

ROUNDS = 3
"""How often each side is measured, in turns; what counts is the median of the rounds' ratios."""


def scaled(count: int, *, least: int = 1) -> int:
    """Return the part of a count that the scale asks for."""
    return max(least, round(count * SCALE))
