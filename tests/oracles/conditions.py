"""Oracle of conditions: evaluates one over a whole history, at one instant.

It is slow and independent of `domain.conditions`, which is tested against it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import permutations
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.oracles.values import compares, kind_of, micros, span, walk


class Event(NamedTuple):
    at: int
    """In microseconds since 1970 UTC."""

    name: str
    properties: dict[str, Any]


class History(NamedTuple):
    events: Sequence[Event] = ()
    attributes: Mapping[str, Any] = MappingProxyType({})
    tags: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()


def holds(condition: dict[str, Any], history: History, clock: int) -> bool:  # noqa: C901
    if "all" in condition:
        return all(holds(part, history, clock) for part in condition["all"])
    if "any" in condition:
        return any(holds(part, history, clock) for part in condition["any"])
    if "none" in condition:
        return not any(holds(part, history, clock) for part in condition["none"])
    if "attribute" in condition:
        matches = walk(history.attributes, condition["attribute"].replace("[]", ".[]").split("."))
        return compares(list(matches), condition["op"], condition.get("value"), clock)
    if "tag" in condition:
        return (condition["tag"] in history.tags) is condition.get("present", True)
    if "identifier" in condition:
        return (condition["identifier"] in history.kinds) is condition.get("present", True)
    if "segment" in condition:
        return condition["segment"] in history.segments
    if "score" in condition:
        points = [
            Fraction(str(term["points"]))
            for term in condition["score"]
            if holds(term["when"], history, clock)
        ]
        low = Fraction(str(condition["value"]))
        total = sum(points, Fraction(0))
        return {"gte": total >= low, "lt": total < low, "eq": total == low}[condition["op"]]
    if "computed" in condition:
        value = computed(condition["computed"], history.events, clock)
        if isinstance(value, Fraction) and isinstance(condition.get("value"), float):
            condition = condition | {"value": Fraction(str(condition["value"]))}
        values = [] if value is None else [value]
        return compares(values, condition["op"], condition.get("value"), clock)
    if "sequence" in condition:
        return _sequence(condition, [event for event in history.events if event.at <= clock])
    events = [
        event for event in history.events if event.at <= clock and matches_step(event, condition)
    ]
    if "occurrence" in condition:
        return _occurrence(condition, events, clock)
    events = [event for event in events if _in_window(event.at, condition.get("within"), clock)]
    if "aggregate" in condition:
        return _aggregate(condition["aggregate"], events)
    return _counts(condition.get("count", {"at_least": 1}), len(events))


def matches_step(event: Event, step: dict[str, Any]) -> bool:
    properties = {"properties": event.properties}
    return matches_name(event.name, step["event"]) and all(
        compares(
            list(walk(properties, test["path"].replace("[]", ".[]").split("."))),
            test["op"],
            test.get("value"),
            0,
        )
        for test in step.get("where", ())
    )


def matches_name(name: str, expected: str | dict[str, str]) -> bool:
    if isinstance(expected, str):
        return name == expected
    matches = False
    for sign, expression in terms(expected["matching"]) or ():
        if re.fullmatch(expression, name, re.DOTALL):
            matches = sign == "+"
    return matches


def terms(pattern: str) -> list[tuple[str, str]] | None:
    """Returns each term's sign and regular expression; None if the pattern is invalid."""
    tokens = re.findall(r"\\.|[^\\]", "+" + pattern, re.DOTALL)
    if "".join(tokens) != "+" + pattern:
        return None
    signed: list[tuple[str, list[str]]] = []
    for token in tokens:
        if token in {"+", "|"}:
            signed.append((token, []))
        else:
            signed[-1][1].append(token)
    for _, term in signed:
        while term and term[0] == " ":
            term.pop(0)
        while term and term[-1] == " ":
            term.pop()
    if not all(term for _, term in signed):
        return None
    return [
        (sign, "".join(".*" if token == "*" else re.escape(token[-1]) for token in term))
        for sign, term in signed
    ]


def _in_window(at: int, within: dict[str, Any] | None, clock: int) -> bool:
    if within is None:
        return True
    if "last" in within:
        return clock - span(within["last"]) < at <= clock
    low, high = (micros(within[key]) if key in within else None for key in ("from", "to"))
    return (low is None or low <= at) and (high is None or at < high)


def _counts(count: dict[str, Any], times: int) -> bool:
    [(operator, bound)] = count.items()
    if operator == "between":
        return bound[0] <= times <= bound[1]
    return {"at_least": times >= bound, "at_most": times <= bound, "exactly": times == bound}[
        operator
    ]


def _occurrence(condition: dict[str, Any], events: list[Event], clock: int) -> bool:
    if not events:
        return False
    at = (min if condition["occurrence"] == "first" else max)(event.at for event in events)
    if "older_than" in condition:
        return at <= clock - span(condition["older_than"])
    return at > clock - span(condition["newer_than"])


def _aggregate(aggregate: dict[str, Any], events: list[Event]) -> bool:
    steps = aggregate["path"].replace("[]", ".[]").split(".")
    values = [value for event in events for value in walk({"properties": event.properties}, steps)]
    numbers = [Fraction(Decimal(str(value))) for value in values if kind_of(value) == "number"]
    if aggregate["fn"] == "distinct":
        texts = {value for value in values if isinstance(value, str)}
        booleans = {value for value in values if isinstance(value, bool)}
        result = Fraction(len(texts) + len(booleans) + len(set(numbers)))
    elif aggregate["fn"] == "sum":
        result = sum(numbers, Fraction(0))
    elif not numbers:
        return False
    else:
        result = {
            "min": min(numbers),
            "max": max(numbers),
            "avg": sum(numbers, Fraction(0)) / len(numbers),
        }[aggregate["fn"]]
    bounds = aggregate["value"] if aggregate["op"] == "between" else [aggregate["value"]]
    low, high = (Fraction(Decimal(str(bound))) for bound in (bounds[0], bounds[-1]))
    return {
        "eq": result == low,
        "ne": result != low,
        "gt": result > low,
        "gte": result >= low,
        "lt": result < low,
        "lte": result <= low,
        "between": low <= result <= high,
    }[aggregate["op"]]


def computed(computation: dict[str, Any], history: Sequence[Event], clock: int) -> Any:
    events = [
        event
        for event in history
        if event.at <= clock
        and matches_step(event, computation)
        and _in_window(event.at, computation.get("within"), clock)
    ]
    function = computation["fn"]
    if function == "count":
        return Fraction(len(events))
    steps = computation["path"].replace("[]", ".[]").split(".")
    values_of_event = [
        list(walk({"properties": event.properties}, steps))
        for event in sorted(events, key=lambda event: event.at)
    ]
    if function in {"first", "last"}:
        first_values = [values[0] for values in values_of_event if values and values[0] is not None]
        return first_values[0 if function == "first" else -1] if first_values else None
    flat = [value for values in values_of_event for value in values]
    numbers = [Fraction(Decimal(str(value))) for value in flat if kind_of(value) == "number"]
    if function == "distinct":
        others = {(type(value), value) for value in flat if isinstance(value, (str, bool))}
        return Fraction(len(others) + len(set(numbers)))
    if function == "sum":
        return sum(numbers, Fraction(0))
    if not numbers:
        return None
    results = {"min": min(numbers), "max": max(numbers), "avg": sum(numbers) / len(numbers)}
    return results[function]


def _sequence(condition: dict[str, Any], events: list[Event]) -> bool:
    steps = condition["sequence"]
    forbidden = [
        event.at
        for event in events
        if any(matches_step(event, step) for step in condition.get("without", ()))
    ]
    for chosen in permutations(events, len(steps)):
        times = [event.at for event in chosen]
        if (
            times == sorted(times)
            and all(matches_step(event, step) for event, step in zip(chosen, steps, strict=True))
            and ("within" not in condition or times[-1] - times[0] <= span(condition["within"]))
            and not any(times[0] <= at <= times[-1] for at in forbidden)
        ):
            return True
    return False
