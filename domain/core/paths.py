"""Where a value is within a document: ``properties.total``, ``properties["a b"]``, ``properties.items[].type``.

``[]`` means any element of the list.
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
"""Names from the outside in; None is any element of a list."""


@lru_cache(maxsize=4096)
def parse(text: str) -> PathSteps:
    """Return the steps of a path.  Raises InvalidRequest with the place that cannot be read."""
    root = _ROOT.match(text)
    if root is None:
        raise InvalidRequest(f"{text[:100]!r} is no path; write one such as properties.total")
    steps: list[str | None] = [root[0]]
    at = root.end()
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise InvalidRequest(
                f"the path {text[:100]!r} cannot be read from {text[at:][:20]!r} on"
            )
        if found["quoted"]:
            steps.append(str(json.loads(found["quoted"])))
        else:
            steps.append(found["name"])
        at = found.end()
    return tuple(steps)


def compile_path(steps: PathSteps) -> Callable[[Any], Sequence[Any]]:
    """Return what does the same as `find` for these steps."""
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
    """Return the values at the path; none if it does not fit the document."""
    for depth, step in enumerate(steps, 1):
        if step is None:
            elements = document if isinstance(document, list) else ()
            return [found for each in elements for found in find_values(each, steps[depth:])]
        if not isinstance(document, dict) or step not in document:
            return ()
        document = document[step]
    return (document,)
