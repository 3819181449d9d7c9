"""Errors of Foldline: each carries its details, and none knows an HTTP status."""

from __future__ import annotations

from typing import Any


class FoldlineError(Exception):
    """A refused request: `code` names the rule, the message says what to do next.

    The keyword arguments become `details`, which callers return as JSON.
    """

    code = "refused"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


class InvalidRequest(FoldlineError):
    """The request is malformed or contains an invalid value."""

    code = "invalid_request"


class Unauthorized(FoldlineError):
    """The key is missing, unknown, expired or revoked."""

    code = "unauthorized"


class Forbidden(FoldlineError):
    """The key is valid but does not permit this request."""

    code = "forbidden"


class NotFound(FoldlineError):
    """The workspace has nothing with this id or name."""

    code = "not_found"


class Conflict(FoldlineError):
    """The request contradicts the current state."""

    code = "conflict"


class NotProjectedYet(FoldlineError):
    """The read model has not reached the requested position."""

    code = "not_projected_yet"


class Overloaded(FoldlineError):
    """The queue of messages to write is full; retry shortly."""

    code = "overloaded"


class LedgerUnavailable(FoldlineError):
    """The ledger cannot be reached and nothing was acknowledged; retry shortly."""

    code = "ledger_unavailable"


class UnsafeServer(FoldlineError):
    """The PostgreSQL server's settings could lose an acknowledged event."""

    code = "unsafe_server"


class LedgerGap(FoldlineError):
    """A position is missing: the reader stops instead of skipping an event."""

    code = "hole_in_ledger"
