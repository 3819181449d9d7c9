"""How a JSON document becomes a condition, and the error if it cannot."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from domain.core.errors import InvalidRequest
from domain.core.validation import locate_problem

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def invalid_condition(pointer: str, problem: str, location: str | None = None) -> InvalidRequest:
    """Returns the error of a condition; ``location`` is a JSON pointer within it."""
    where = location or pointer
    return InvalidRequest(
        f"the condition{f' at {where}' if where else ''} is not valid: {problem}", path=pointer
    )


def convert(document: Any, kind: type[_Struct], pointer: str) -> _Struct:
    """Converts a document to a class of conditions.  Raises InvalidRequest with its pointer."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        location, problem = locate_problem(error, kind, pointer)
        raise invalid_condition(pointer, problem, location) from None
    except InvalidRequest as error:
        raise invalid_condition(pointer, str(error)) from None
