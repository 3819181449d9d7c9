"""Surveys the properties of many events: paths, types and sample values.

The survey of a union is the union of the surveys: however a history is cut into batches and in
whatever order it arrives, the catalogue is the same.  The survey works column by column, not event by
event, because events of one name mostly have the same keys.
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
"""Paths stored for an event name: the first in the order of their text."""

MAX_PATH_LENGTH = 255
"""Longest path stored, in characters."""

MAX_DEPTH = 10
"""Deepest nesting that is surveyed."""

MAX_ELEMENTS = 100
"""Elements surveyed in one list: the first ones."""

MAX_SAMPLES = 10
"""Sample values stored for a path: those with the smallest CRC, a choice that looks random."""

MAX_SAMPLE_LENGTH = 64
"""Longest string used as a sample, in characters."""

_CRCS = 2**32


@dataclass(slots=True)
class PathValues:
    """The values seen at one path."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Number of values by JSON type."""

    strings: set[str] = field(default_factory=set)
    integers: set[int] = field(default_factory=set)
    floats: set[float] = field(default_factory=set)
    booleans: set[bool] = field(default_factory=set)

    def encode_samples(self) -> list[str]:
        """Returns the samples as they are stored; :func:`decode_sample` reads them."""
        strings = [text for text in self.strings if len(text) <= MAX_SAMPLE_LENGTH]
        numbers = {_float(number) for number in self.floats} | set(map(str, self.integers))
        booleans = ["true" if value else "false" for value in self.booleans]
        return sorted(
            _smallest_by_crc("s", strings)
            + _smallest_by_crc("n", numbers)
            + _smallest_by_crc("b", booleans)
        )[:MAX_SAMPLES]


PropertySurvey = dict[str, PathValues]


def survey_properties(documents: Sequence[dict[str, Any]]) -> PropertySurvey:
    """Returns the values at every path of the documents."""
    survey: PropertySurvey = defaultdict(PathValues)
    _survey_objects(survey, "", documents, 1)
    survey.pop("", None)
    if len(survey) <= MAX_PATHS:
        return survey
    return {path: survey[path] for path in sorted(survey)[:MAX_PATHS]}


def decode_sample(ordered: str) -> Any:
    """Returns the value of a sample from its text: eight digits of CRC, a letter, the value."""
    kind, text = ordered[8], ordered[9:]
    if kind == "s":
        return text
    if kind == "b":
        return text == "true"
    return float(text) if "." in text or "e" in text else int(text)


def _survey_objects(
    survey: PropertySurvey, prefix: str, objects: Iterable[dict[str, Any]], depth: int
) -> None:
    shapes: dict[tuple[str, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for obj in objects:
        shapes[tuple(obj)].append(tuple(obj.values()))
    for keys, rows in shapes.items():
        for key, column in zip(keys, zip(*rows, strict=True), strict=False):
            path = prefix + _step(key)
            if len(path) <= MAX_PATH_LENGTH:
                _survey_values(survey, path, column, depth)


def _survey_values(survey: PropertySurvey, path: str, column: Sequence[Any], depth: int) -> None:
    kinds = set(map(type, column))
    values = survey[path]
    for kind in kinds:
        same: Sequence[Any] = (
            column if len(kinds) == 1 else [value for value in column if type(value) is kind]
        )
        name, keep = _KINDS[kind]
        values.counts[name] += len(same)
        if keep is not None:
            keep(values, same)
        elif kind is dict and depth < MAX_DEPTH:
            _survey_objects(survey, path, same, depth + 1)
        elif kind is list and depth < MAX_DEPTH:
            elements = [element for array in same for element in array[:MAX_ELEMENTS]]
            if elements and len(path) + 2 <= MAX_PATH_LENGTH:
                _survey_values(survey, path + "[]", elements, depth + 1)


_KINDS: dict[type, tuple[str, Callable[[PathValues, Sequence[Any]], None] | None]] = {
    str: ("string", lambda values, new: values.strings.update(new)),
    int: ("number", lambda values, new: values.integers.update(new)),
    float: ("number", lambda values, new: values.floats.update(new)),
    bool: ("boolean", lambda values, new: values.booleans.update(new)),
    type(None): ("null", lambda _values, _new: None),
    dict: ("object", None),
    list: ("array", None),
}


@lru_cache(maxsize=4096)
def _step(key: str) -> str:
    return where.path_step(key)


def _float(value: float) -> str:
    """Returns the text of a number, the same as that of an integer that equals it."""
    return repr(value + 0.0).removesuffix(".0")  # plus zero: there is a -0.0


def _smallest_by_crc(kind: str, texts: Collection[str]) -> list[str]:
    """Returns the texts with the smallest CRC, each after its CRC and the letter of its type."""
    # CRCs spread evenly, so nearly always this leaves enough, and little to sort.
    bound = _CRCS * 4 * MAX_SAMPLES // max(len(texts), 1)
    smallest = [(crc, text) for text in texts if (crc := crc32(text.encode())) < bound]
    if len(smallest) < MAX_SAMPLES and bound < _CRCS:
        smallest = [(crc32(text.encode()), text) for text in texts]
    smallest.sort()
    return [f"{crc:08x}{kind}{text}" for crc, text in smallest[:MAX_SAMPLES]]
