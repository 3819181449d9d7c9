"""Scale of a run: all of the work, or a part of it, to check that the benchmarks work."""

from __future__ import annotations

import os

# Read on import: once the session has started, the developer's own settings are removed.
SCALE = float(os.environ.get("FOLDLINE_BENCH_SCALE") or 1)
"""``FOLDLINE_BENCH_SCALE=0.02`` does a fiftieth of the work; no bar is asserted then."""

ROUNDS = 3
"""How often each side is measured, in turns; the median of the rounds' ratios counts."""


def scaled(count: int, *, least: int = 1) -> int:
    """Returns a count times the scale."""
    return max(least, round(count * SCALE))
