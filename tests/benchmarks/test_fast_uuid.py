"""UUIDs from bytes: without the checks of the standard library, and with them."""

from __future__ import annotations

from timeit import timeit
from uuid import UUID

import pytest

from domain.core.fast_uuid import uuid_from_bytes
from tests.benchmarks.quiet import gc_disabled
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS

pytestmark = pytest.mark.benchmark

CALLS = 200_000
DIGEST = bytes(range(16))


def test_a_uuid_costs_at_most_two_thirds_of_the_constructor(report):
    with gc_disabled():
        pairs = [
            (
                timeit(lambda: uuid_from_bytes(DIGEST), number=CALLS) / CALLS * 1e6,
                timeit(lambda: UUID(bytes=DIGEST), number=CALLS) / CALLS * 1e6,
            )
            for _ in range(ROUNDS)
        ]
    hold(report.rounds("uuid_from_bytes", pairs, unit="µs", against="UUID(bytes=…)", at_most=2 / 3))
