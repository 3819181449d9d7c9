"""How a caller names a profile: by its id, or by one of its identifiers."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from domain.errors import InvalidRequest
from domain.identifiers import STRENGTH, Identifier, normalise


def stream(reference: str, stream_of: Callable[[Identifier], UUID]) -> UUID:
    """Return the stream of ``user_id:u-1``, ``email:ada@example.com``, … or of a profile id.

    Raises InvalidRequest for anything else.
    """
    kind, colon, value = reference.partition(":")
    if colon and value and kind in STRENGTH:
        return stream_of(normalise(kind, value))
    try:
        return UUID(reference)
    except ValueError:
        raise InvalidRequest(
            f"{reference[:100]!r} names no profile; use its id or KIND:VALUE with KIND one of "
            f"{', '.join(STRENGTH)}",
            profile=reference[:100],
        ) from None
