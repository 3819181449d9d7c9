"""Segments as a shop's marketing has them, over the benchmark's 20 event names.

Of every 100: 40 count an event (12 of those ever, 24 in a window that moves, 4 in a fixed one), 15 look at
when it first or last happened, 15 count with a filter of its properties, 10 work out an aggregate, 5 look for
a sequence, 5 ask for an attribute, a tag or an identifier, and 10 are groups of two or three such conditions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Any

import msgspec

from application.definitions.segments import CommandContext, SegmentService
from application.ledger.ledger import Ledger
from domain.conditions import parse_condition
from domain.evaluation.segment_index import CompiledSegment, SegmentIndex
from domain.segments.segment import SegmentVersion
from tests.benchmarks.messages import KINDS_OF_GOODS, NAMES, WEIGHTS

Document = dict[str, Any]

_COUNTS: Sequence[Document] = (
    {"at_least": 1}, {"at_least": 3}, {"at_most": 2}, {"exactly": 2}, {"at_least": 5},
    {"between": [2, 4]}, {"exactly": 0}, {"at_least": 10},
)  # fmt: skip
_WINDOWS: Sequence[Document] = (
    {},
    {"within": {"last": "30d"}},
    {"within": {"last": "7d"}},
    {},
    {"within": {"last": "24h"}},
    {"within": {"from": "2026-01-01T00:00:00Z"}},
    {"within": {"last": "90d"}},
    {},
    {"within": {"last": "5s"}},
    {"within": {"last": "14d"}},
)
_ABOUT: Sequence[Document] = (
    {"attribute": "plan", "op": "eq", "value": "pro"},
    {"attribute": "signed_up_at", "op": "before", "value": {"ago": "30d"}},
    {"tag": "vip"},
    {"identifier": "email", "present": False},
    {"attribute": "country", "op": "not_in", "value": ["DE", "AT", "CH"]},
)


def mixed(number: int) -> list[Document]:
    """Return so many conditions of all kinds, no two the same in the first few hundred."""
    return list(islice(_mixed(), number))


def elsewhere(number: int) -> list[Document]:
    """Return so many conditions on events and attributes that nobody's messages have."""
    return [
        {"event": f"elsewhere_{n}", "count": {"at_least": 1 + n % 5}, "within": {"last": "30d"}}
        if n % 5
        else {"attribute": f"elsewhere_{n}", "op": "eq", "value": n}
        for n in range(number)
    ]


def define(ledger: Ledger, workspace: int, conditions: Sequence[Document]) -> None:
    """Have the ledger hold a segment for each condition."""
    segments = SegmentService(ledger)
    for number, condition in enumerate(conditions):
        wanted = SegmentVersion(f"Segment {number}", condition=msgspec.json.encode(condition))
        segments.define(workspace, f"s-{number}", wanted, CommandContext(actor="bench"))


def define_and_archive(ledger: Ledger, workspace: int, conditions: Sequence[Document]) -> None:
    """Have the ledger hold as many decisions, and no segment: one that was changed, and archived."""
    segments = SegmentService(ledger)
    for condition in conditions[1:]:
        wanted = SegmentVersion("Gone", condition=msgspec.json.encode(condition))
        segments.define(workspace, "gone", wanted, CommandContext(actor="bench"))
    segments.archive(workspace, "gone", CommandContext(actor="bench"))


def looking(conditions: Sequence[Document]) -> float:
    """Return how many of the segments look at an event, on average over the events that come."""
    rules = SegmentIndex(
        CompiledSegment(f"s-{n}", parse_condition(it)) for n, it in enumerate(conditions)
    )
    seen = [
        len({place for key in rules.keys_for("track", name) for place in rules.readers[key]})
        for name in NAMES
    ]
    return sum(n * weight for n, weight in zip(seen, WEIGHTS, strict=True)) / sum(WEIGHTS)


def _mixed() -> Iterator[Document]:
    for n in count():
        yield from (_counted(8 * n + k) for k in range(8))
        yield from (_occurred(3 * n + k) for k in range(3))
        yield from (_filtered(3 * n + k) for k in range(3))
        yield from (_aggregated(2 * n + k) for k in range(2))
        yield _in_order(n)
        yield _ABOUT[n % len(_ABOUT)]
        yield {"all": [_counted(7 * n + 3), _ABOUT[(n + 1) % len(_ABOUT)]]}
        yield {("any", "none")[n % 2]: [_filtered(5 * n + 1), _occurred(5 * n + 2), _counted(n)]}


def _event(n: int) -> str:
    """Return each of the names in turn, and every other time one of the most common five."""
    return NAMES[n // 2 % len(NAMES)] if n % 2 else NAMES[n // 2 % 5]


def _counted(n: int) -> Document:
    how = {"count": _COUNTS[n % len(_COUNTS)]} | _WINDOWS[n % len(_WINDOWS)]
    return {"event": _event(n)} | how


def _occurred(n: int) -> Document:
    age = {("older_than", "newer_than")[n % 2]: f"{1 + n % 60}d"}
    return {"event": _event(n), "occurrence": ("first", "last")[n // 2 % 2]} | age


def _filtered(n: int) -> Document:
    tests = (
        {"path": "properties.total", "op": "gt", "value": 100 * (1 + n % 15)},
        {"path": "properties.category", "op": "eq", "value": KINDS_OF_GOODS[n % 7]},
        {"path": "properties.quantity", "op": "in", "value": [3, 4]},
    )
    return _counted(n) | {"where": [tests[n % 3]]}


def _aggregated(n: int) -> Document:
    fn, path, value = (
        ("sum", "properties.total", 500),
        ("avg", "properties.price", 120),
        ("max", "properties.total", 1_500),
        ("distinct", "properties.product_id", 3),
        ("sum", "properties.quantity", 8),
    )[n % 5]
    compared = {"fn": fn, "path": path, "op": ("gte", "lt")[n // 5 % 2], "value": value + n}
    return {"event": _event(n), "aggregate": compared} | (
        {"within": {"last": "30d"}} if n % 2 else {}
    )


def _in_order(n: int) -> Document:
    first, then, never = (NAMES[(n + k) % len(NAMES)] for k in (0, 4, 9))
    return {
        "sequence": [{"event": first}, {"event": then}],
        "within": f"{1 + n}h",
        "without": [{"event": never}],
    }
