"""Names that the examples of segments in the customer's documents share."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.unit.conditions.profile_histories import Profile

STAYS, ENTERS, LEAVES = (True, True, True), (False, True, True), (True, False, False)
NEW_PROFILE = Profile()
"""A profile without events, attributes, tags or identifiers."""


def where(path: str, op: str, *value: object) -> dict:
    comparison = {"path": f"properties.{path}", "op": op} | ({"value": value[0]} if value else {})
    return {"where": [comparison]}


MARCH = {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}
FIRST_OF_MARCH, FIRST_OF_APRIL = (datetime(2026, month, 1, tzinfo=UTC) for month in (3, 4))
