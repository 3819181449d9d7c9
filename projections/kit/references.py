"""References to profiles: an id, or an identifier such as ``user_id:u-1``."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from domain.core.errors import InvalidRequest
from domain.core.identifiers import KINDS_BY_STRENGTH, Identifier, normalise


def resolve_stream(reference: str, stream_of: Callable[[Identifier], UUID]) -> UUID:
    """Returns the stream of a reference.  Raises InvalidRequest as `parse_reference` does."""
    target = parse_reference(reference)
    return target if isinstance(target, UUID) else stream_of(target)


def parse_reference(reference: str) -> Identifier | UUID:
    """Parses ``user_id:u-1``, ``email:ada@example.com``, … or a profile id.

    Raises InvalidRequest for anything else.
    """
    kind, colon, value = reference.partition(":")
    if colon and value and kind in KINDS_BY_STRENGTH:
        return normalise(kind, value)
    try:
        return UUID(reference)
    except ValueError:
        raise InvalidRequest(
            f"{reference[:100]!r} is not a profile reference; use a profile id or KIND:VALUE with KIND one of "
            f"{', '.join(KINDS_BY_STRENGTH)}",
            profile=reference[:100],
        ) from None
