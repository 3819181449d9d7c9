"""Segments as a shop's marketing team defines them, over the benchmark's 20 event names.

Of every 100: 40 count an event (12 of those ever, 24 in a moving window, 4 in a fixed one), 15 compare
the age of its first or last occurrence, 15 count with a filter on properties, 10 compare an aggregate, 5 are
sequences, 5 compare an attribute, a tag or an identifier, and 10 are groups of two or three of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Any

import msgspec

from application.definitions.segments import SegmentService
from application.definitions.store import CommandContext
from application.ledger.ledger import Ledger
from domain.conditions import parse_condition
from domain.definitions.definition import DefinitionVersion
from domain.evaluation.segment_index import SegmentIndex
from domain.evaluation.segment_order import CompiledSegment
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
_PROFILE_CONDITIONS: Sequence[Document] = (
    {"attribute": "plan", "op": "eq", "value": "pro"},
    {"attribute": "signed_up_at", "op": "before", "value": {"ago": "30d"}},
    {"tag": "vip"},
    {"identifier": "email", "present": False},
    {"attribute": "country", "op": "not_in", "value": ["DE", "AT", "CH"]},
)


def mixed(number: int) -> list[Document]:
    """Returns conditions of all kinds, no two equal among the first few hundred."""
    return list(islice(_mixed(), number))


def elsewhere(number: int) -> list[Document]:
    """Returns conditions on events and attributes that no message has."""
    return [
        {"event": f"elsewhere_{n}", "count": {"at_least": 1 + n % 5}, "within": {"last": "30d"}}
        if n % 5
        else {"attribute": f"elsewhere_{n}", "op": "eq", "value": n}
        for n in range(number)
    ]


def define(ledger: Ledger, workspace: int, conditions: Sequence[Document]) -> None:
    """Defines a segment for each condition."""
    segments = SegmentService(ledger)
    for number, condition in enumerate(conditions):
        version = DefinitionVersion(f"Segment {number}", document=msgspec.json.encode(condition))
        segments.define(workspace, f"s-{number}", version, CommandContext(actor="bench"))


def define_and_archive(ledger: Ledger, workspace: int, conditions: Sequence[Document]) -> None:
    """Records as many definition events without leaving a segment: one is changed and archived."""
    segments = SegmentService(ledger)
    for condition in conditions[1:]:
        version = DefinitionVersion("Gone", document=msgspec.json.encode(condition))
        segments.define(workspace, "gone", version, CommandContext(actor="bench"))
    segments.archive(workspace, "gone", CommandContext(actor="bench"))


def mean_readers(conditions: Sequence[Document]) -> float:
    """Returns how many of the segments read an event, on average over the benchmark's events."""
    index = SegmentIndex.build(
        CompiledSegment(f"s-{n}", parse_condition(condition))
        for n, condition in enumerate(conditions)
    )
    readers = [
        len(
            {
                segment
                for key in index.message_readers.keys_for("track", name)
                for segment in index.readers[key]
            }
        )
        for name in NAMES
    ]
    return sum(n * weight for n, weight in zip(readers, WEIGHTS, strict=True)) / sum(WEIGHTS)


def _mixed() -> Iterator[Document]:
    for n in count():
        yield from (_count_condition(8 * n + k) for k in range(8))
        yield from (_occurrence(3 * n + k) for k in range(3))
        yield from (_filtered_count(3 * n + k) for k in range(3))
        yield from (_aggregate(2 * n + k) for k in range(2))
        yield _sequence(n)
        yield _PROFILE_CONDITIONS[n % len(_PROFILE_CONDITIONS)]
        yield {
            "all": [
                _count_condition(7 * n + 3),
                _PROFILE_CONDITIONS[(n + 1) % len(_PROFILE_CONDITIONS)],
            ]
        }
        yield {
            ("any", "none")[n % 2]: [
                _filtered_count(5 * n + 1),
                _occurrence(5 * n + 2),
                _count_condition(n),
            ]
        }


def _event(n: int) -> str:
    """Returns each of the names in turn, alternating with one of the five most common."""
    return NAMES[n // 2 % len(NAMES)] if n % 2 else NAMES[n // 2 % 5]


def _count_condition(n: int) -> Document:
    bounds = {"count": _COUNTS[n % len(_COUNTS)]} | _WINDOWS[n % len(_WINDOWS)]
    return {"event": _event(n)} | bounds


def _occurrence(n: int) -> Document:
    age = {("older_than", "newer_than")[n % 2]: f"{1 + n % 60}d"}
    return {"event": _event(n), "occurrence": ("first", "last")[n // 2 % 2]} | age


def _filtered_count(n: int) -> Document:
    comparisons = (
        {"path": "properties.total", "op": "gt", "value": 100 * (1 + n % 15)},
        {"path": "properties.category", "op": "eq", "value": KINDS_OF_GOODS[n % 7]},
        {"path": "properties.quantity", "op": "in", "value": [3, 4]},
    )
    return _count_condition(n) | {"where": [comparisons[n % 3]]}


def _aggregate(n: int) -> Document:
    fn, path, value = (
        ("sum", "properties.total", 500),
        ("avg", "properties.price", 120),
        ("max", "properties.total", 1_500),
        ("distinct", "properties.product_id", 3),
        ("sum", "properties.quantity", 8),
    )[n % 5]
    aggregate = {"fn": fn, "path": path, "op": ("gte", "lt")[n // 5 % 2], "value": value + n}
    return {"event": _event(n), "aggregate": aggregate} | (
        {"within": {"last": "30d"}} if n % 2 else {}
    )


def _sequence(n: int) -> Document:
    first, then, never = (NAMES[(n + k) % len(NAMES)] for k in (0, 4, 9))
    return {
        "sequence": [{"event": first}, {"event": then}],
        "within": f"{1 + n}h",
        "without": [{"event": never}],
    }
