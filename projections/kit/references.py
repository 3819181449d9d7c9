"""How a caller names a profile: by its id, or by one of its identifiers."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from domain.core.errors import InvalidRequest
from domain.core.identifiers import STRENGTH, Identifier, normalise


def stream(reference: str, stream_of: Callable[[Identifier], UUID]) -> UUID:
    """Return the stream that a reference leads to.  Raises InvalidRequest as `read` does."""
    whom = read(reference)
    return whom if isinstance(whom, UUID) else stream_of(whom)


def read(reference: str) -> Identifier | UUID:
    """Return what ``user_id:u-1``, ``email:ada@example.com``, … or a profile id is.

    Raises InvalidRequest for anything else.
    """
    kind, colon, value = reference.partition(":")
    if colon and value and kind in STRENGTH:
        return normalise(kind, value)
    try:
        return UUID(reference)
    except ValueError:
        raise InvalidRequest(
            f"{reference[:100]!r} names no profile; use its id or KIND:VALUE with KIND one of "
            f"{', '.join(STRENGTH)}",
            profile=reference[:100],
        ) from None
