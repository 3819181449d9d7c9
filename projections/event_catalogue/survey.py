"""What the properties of many events have in common: paths, types, sample values.

The survey of a union is the union of the surveys: however a history is cut into batches and in
whatever order it comes, the catalogue is the same.  It goes column by column, not event by event,
because events of one name mostly have the same keys.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from zlib import crc32

from projections.kit import where

MAX_PATHS = 300
"""Paths kept for an event name: the first in the order of their text."""

MAX_PATH_LENGTH = 255
"""Longest path kept, in characters."""

MAX_DEPTH = 10
"""Deepest nesting looked into."""

MAX_ELEMENTS = 100
"""Elements looked at in one list: the first ones."""

MAX_SAMPLES = 10
"""Sample values kept for a path: those with the smallest CRC, a choice that looks random."""

MAX_SAMPLE_LENGTH = 64
"""Longest string that serves as a sample, in characters."""

_CRCS = 2**32


@dataclass(slots=True)
class PathValues:
    """The values seen at one path."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """How many were of each JSON type."""

    strings: set[str] = field(default_factory=set)
    integers: set[int] = field(default_factory=set)
    floats: set[float] = field(default_factory=set)
    booleans: set[bool] = field(default_factory=set)

    def encode_samples(self) -> list[str]:
        """Return the samples as they are kept; :func:`sample` reads them."""
        strings = [it for it in self.strings if len(it) <= MAX_SAMPLE_LENGTH]
        numbers = {_float(it) for it in self.floats} | set(map(str, self.integers))
        booleans = ["true" if it else "false" for it in self.booleans]
        return sorted(
            _smallest_by_crc("s", strings)
            + _smallest_by_crc("n", numbers)
            + _smallest_by_crc("b", booleans)
        )[:MAX_SAMPLES]


PropertySurvey = dict[str, PathValues]


def survey_properties(documents: Sequence[dict[str, Any]]) -> PropertySurvey:
    """Return the values at every path of the documents."""
    found: PropertySurvey = defaultdict(PathValues)
    _survey_objects(found, "", documents, 1)
    found.pop("", None)
    if len(found) <= MAX_PATHS:
        return found
    return {path: found[path] for path in sorted(found)[:MAX_PATHS]}


def decode_sample(ordered: str) -> Any:
    """Return the value of a sample from its text: eight digits of CRC, a letter, the value."""
    kind, text = ordered[8], ordered[9:]
    if kind == "s":
        return text
    if kind == "b":
        return text == "true"
    return float(text) if "." in text or "e" in text else int(text)


def _survey_objects(
    found: PropertySurvey, prefix: str, objects: Iterable[dict[str, Any]], depth: int
) -> None:
    shapes: dict[tuple[str, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for each in objects:
        shapes[tuple(each)].append(tuple(each.values()))
    for keys, rows in shapes.items():
        for key, column in zip(keys, zip(*rows, strict=True), strict=False):
            path = prefix + _step(key)
            if len(path) <= MAX_PATH_LENGTH:
                _survey_values(found, path, column, depth)


def _survey_values(found: PropertySurvey, path: str, column: Sequence[Any], depth: int) -> None:
    kinds = set(map(type, column))
    values = found[path]
    for kind in kinds:
        same: Sequence[Any] = (
            column if len(kinds) == 1 else [it for it in column if type(it) is kind]
        )
        name, keep = _KINDS[kind]
        values.counts[name] += len(same)
        if keep is not None:
            keep(values, same)
        elif kind is dict and depth < MAX_DEPTH:
            _survey_objects(found, path, same, depth + 1)
        elif kind is list and depth < MAX_DEPTH:
            elements = [it for each in same for it in each[:MAX_ELEMENTS]]
            if elements and len(path) + 2 <= MAX_PATH_LENGTH:
                _survey_values(found, path + "[]", elements, depth + 1)


_KINDS: dict[type, tuple[str, Callable[[PathValues, Sequence[Any]], None] | None]] = {
    str: ("string", lambda values, seen: values.strings.update(seen)),
    int: ("number", lambda values, seen: values.integers.update(seen)),
    float: ("number", lambda values, seen: values.floats.update(seen)),
    bool: ("boolean", lambda values, seen: values.booleans.update(seen)),
    type(None): ("null", lambda _values, _seen: None),
    dict: ("object", None),
    list: ("array", None),
}


@lru_cache(maxsize=4096)
def _step(key: str) -> str:
    return where.path_step(key)


def _float(value: float) -> str:
    """Return the text of a number, the same as that of an integer that equals it."""
    return repr(value + 0.0).removesuffix(".0")  # plus zero: there is a -0.0


def _smallest_by_crc(kind: str, texts: Collection[str]) -> list[str]:
    """Return those with the smallest CRC, each after its CRC and the letter of its type."""
    # CRCs spread evenly, so nearly always this leaves enough, and little to sort.
    bound = _CRCS * 4 * MAX_SAMPLES // max(len(texts), 1)
    near = [(crc, it) for it in texts if (crc := crc32(it.encode())) < bound]
    if len(near) < MAX_SAMPLES and bound < _CRCS:
        near = [(crc32(it.encode()), it) for it in texts]
    near.sort()
    return [f"{crc:08x}{kind}{it}" for crc, it in near[:MAX_SAMPLES]]
