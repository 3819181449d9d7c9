"""Paths to values within a document: ``properties.total``, ``properties["a b"]``.

``[]`` stands for any element of a list: ``properties.items[].type``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from domain.core.errors import InvalidRequest

_ROOT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?=[.\[]|$)")
_STEP = re.compile(
    r"""\.(?P<name>[^\s.\[\]=!<>"']+)|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]|(?P<any>\[\])"""
)

PathSteps = tuple[str | None, ...]
"""Member names from the outermost to the innermost; None stands for any element of a list."""


@lru_cache(maxsize=4096)
def parse(text: str) -> PathSteps:
    """Returns the steps of a path.  Raises InvalidRequest with the part that is not valid."""
    root = _ROOT.match(text)
    if root is None:
        raise InvalidRequest(f"{text[:100]!r} is not a path; use e.g. properties.total")
    steps: list[str | None] = [root[0]]
    offset = root.end()
    while offset < len(text):
        match = _STEP.match(text, offset)
        if match is None:
            raise InvalidRequest(
                f"the path {text[:100]!r} is not valid at {text[offset:][:20]!r};"
                ' use e.g. properties.total, properties["a b"] or properties.items[].type'
            )
        if match["quoted"]:
            steps.append(str(json.loads(match["quoted"])))
        else:
            steps.append(match["name"])
        offset = match.end()
    return tuple(steps)


def compile_path(steps: PathSteps) -> Callable[[Any], Sequence[Any]]:
    """Returns a function equal to `find_values` for these steps, faster without ``[]``."""
    if None in steps:
        return lambda document: find_values(document, steps)

    def find_one(document: Any) -> Sequence[Any]:
        try:
            for step in steps:
                document = document[step]
        except (KeyError, TypeError):  # only objects have members by name
            return ()
        return (document,)

    return find_one


def find_values(document: Any, steps: Sequence[str | None]) -> Sequence[Any]:
    """Returns the values at the path; none if the document has no such member or list."""
    for depth, step in enumerate(steps, 1):
        if step is None:
            elements = document if isinstance(document, list) else ()
            rest = steps[depth:]
            return [value for element in elements for value in find_values(element, rest)]
        if not isinstance(document, dict) or step not in document:
            return ()
        document = document[step]
    return (document,)
