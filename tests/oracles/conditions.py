"""What a condition means, said as plainly as can be: over the whole history, at one instant.

Slow, and written without a look at `domain.conditions`: it is what that is tested against.
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
    """Microseconds."""

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
        return all(holds(it, history, clock) for it in condition["all"])
    if "any" in condition:
        return any(holds(it, history, clock) for it in condition["any"])
    if "none" in condition:
        return not any(holds(it, history, clock) for it in condition["none"])
    if "attribute" in condition:
        found = walk(history.attributes, condition["attribute"].replace("[]", ".[]").split("."))
        return compares(list(found), condition["op"], condition.get("value"), clock)
    if "tag" in condition:
        return (condition["tag"] in history.tags) is condition.get("present", True)
    if "identifier" in condition:
        return (condition["identifier"] in history.kinds) is condition.get("present", True)
    if "segment" in condition:
        return condition["segment"] in history.segments
    if "score" in condition:
        points = [
            Fraction(str(it["points"]))
            for it in condition["score"]
            if holds(it["when"], history, clock)
        ]
        low = Fraction(str(condition["value"]))
        total = sum(points, Fraction(0))
        return {"gte": total >= low, "lt": total < low, "eq": total == low}[condition["op"]]
    if "computed" in condition:
        value = computed(condition["computed"], history.events, clock)
        if isinstance(value, Fraction) and isinstance(condition.get("value"), float):
            condition = condition | {"value": Fraction(str(condition["value"]))}
        found = [] if value is None else [value]
        return compares(found, condition["op"], condition.get("value"), clock)
    if "sequence" in condition:
        return _sequence(condition, [it for it in history.events if it.at <= clock])
    events = [it for it in history.events if it.at <= clock and fits(it, condition)]
    if "occurrence" in condition:
        return _occurrence(condition, events, clock)
    events = [it for it in events if _in_window(it.at, condition.get("within"), clock)]
    if "aggregate" in condition:
        return _aggregate(condition["aggregate"], events)
    return _counts(condition.get("count", {"at_least": 1}), len(events))


def fits(event: Event, step: dict[str, Any]) -> bool:
    return named(event.name, step["event"]) and all(
        compares(
            list(
                walk({"properties": event.properties}, it["path"].replace("[]", ".[]").split("."))
            ),
            it["op"],
            it.get("value"),
            0,
        )
        for it in step.get("where", ())
    )


def named(name: str, wanted: str | dict[str, str]) -> bool:
    if isinstance(wanted, str):
        return name == wanted
    matches = False
    for sign, expression in terms(wanted["matching"]) or ():
        if re.fullmatch(expression, name, re.DOTALL):
            matches = sign == "+"
    return matches


def terms(pattern: str) -> list[tuple[str, str]] | None:
    """Return each term's sign and its regular expression; None if it is no pattern."""
    tokens = re.findall(r"\\.|[^\\]", "+" + pattern, re.DOTALL)
    if "".join(tokens) != "+" + pattern:
        return None
    found: list[tuple[str, list[str]]] = []
    for token in tokens:
        if token in {"+", "|"}:
            found.append((token, []))
        else:
            found[-1][1].append(token)
    for _, term in found:
        while term and term[0] == " ":
            term.pop(0)
        while term and term[-1] == " ":
            term.pop()
    if not all(term for _, term in found):
        return None
    return [
        (sign, "".join(".*" if it == "*" else re.escape(it[-1]) for it in term))
        for sign, term in found
    ]


def _in_window(at: int, within: dict[str, Any] | None, clock: int) -> bool:
    if within is None:
        return True
    if "last" in within:
        return clock - span(within["last"]) < at <= clock
    low, high = (micros(within[it]) if it in within else None for it in ("from", "to"))
    return (low is None or low <= at) and (high is None or at < high)


def _counts(count: dict[str, Any], times: int) -> bool:
    [(how, wanted)] = count.items()
    if how == "between":
        return wanted[0] <= times <= wanted[1]
    return {"at_least": times >= wanted, "at_most": times <= wanted, "exactly": times == wanted}[
        how
    ]


def _occurrence(condition: dict[str, Any], events: list[Event], clock: int) -> bool:
    if not events:
        return False
    at = (min if condition["occurrence"] == "first" else max)(it.at for it in events)
    if "older_than" in condition:
        return at <= clock - span(condition["older_than"])
    return at > clock - span(condition["newer_than"])


def _aggregate(asked: dict[str, Any], events: list[Event]) -> bool:
    found = [
        value
        for it in events
        for value in walk(
            {"properties": it.properties}, asked["path"].replace("[]", ".[]").split(".")
        )
    ]
    numbers = [Fraction(Decimal(str(it))) for it in found if kind_of(it) == "number"]
    if asked["fn"] == "distinct":
        texts = {it for it in found if isinstance(it, str)}
        booleans = {it for it in found if isinstance(it, bool)}
        result = Fraction(len(texts) + len(booleans) + len(set(numbers)))
    elif asked["fn"] == "sum":
        result = sum(numbers, Fraction(0))
    elif not numbers:
        return False
    else:
        result = {
            "min": min(numbers),
            "max": max(numbers),
            "avg": sum(numbers, Fraction(0)) / len(numbers),
        }[asked["fn"]]
    bounds = asked["value"] if asked["op"] == "between" else [asked["value"]]
    low, high = (Fraction(Decimal(str(it))) for it in (bounds[0], bounds[-1]))
    return {
        "eq": result == low,
        "ne": result != low,
        "gt": result > low,
        "gte": result >= low,
        "lt": result < low,
        "lte": result <= low,
        "between": low <= result <= high,
    }[asked["op"]]


def computed(asked: dict[str, Any], history: Sequence[Event], clock: int) -> Any:
    events = [
        it
        for it in history
        if it.at <= clock and fits(it, asked) and _in_window(it.at, asked.get("within"), clock)
    ]
    if asked["fn"] == "count":
        return Fraction(len(events))
    steps = asked["path"].replace("[]", ".[]").split(".")
    found = [
        list(walk({"properties": it.properties}, steps))
        for it in sorted(events, key=lambda it: it.at)
    ]
    if asked["fn"] in {"first", "last"}:
        values = [it[0] for it in found if it and it[0] is not None]
        return values[0 if asked["fn"] == "first" else -1] if values else None
    flat = [each for it in found for each in it]
    numbers = [Fraction(Decimal(str(it))) for it in flat if kind_of(it) == "number"]
    if asked["fn"] == "distinct":
        others = {(type(it), it) for it in flat if isinstance(it, (str, bool))}
        return Fraction(len(others) + len(set(numbers)))
    if asked["fn"] == "sum":
        return sum(numbers, Fraction(0))
    if not numbers:
        return None
    whole = {"min": min(numbers), "max": max(numbers), "avg": sum(numbers) / len(numbers)}
    return whole[asked["fn"]]


def _sequence(condition: dict[str, Any], events: list[Event]) -> bool:
    steps = condition["sequence"]
    forbidden = [
        it.at for it in events if any(fits(it, one) for one in condition.get("without", ()))
    ]
    for chosen in permutations(range(len(events)), len(steps)):
        taken = [events[it] for it in chosen]
        times = [it.at for it in taken]
        if (
            times == sorted(times)
            and all(fits(it, step) for it, step in zip(taken, steps, strict=True))
            and ("within" not in condition or times[-1] - times[0] <= span(condition["within"]))
            and not any(times[0] <= at <= times[-1] for at in forbidden)
        ):
            return True
    return False
