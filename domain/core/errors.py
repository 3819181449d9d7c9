"""Ways Foldline says no.  Each carries its facts; none knows an HTTP status."""

from __future__ import annotations

from typing import Any


class FoldlineError(Exception):
    """Something was refused; ``code`` names the rule and the message says what to do."""

    code = "refused"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


class InvalidRequest(FoldlineError):
    """The request cannot be understood as it is."""

    code = "invalid_request"


class Unauthorized(FoldlineError):
    """No key, or one that is not known or no longer valid."""

    code = "unauthorized"


class Forbidden(FoldlineError):
    """The key is good, but not for this."""

    code = "forbidden"


class NotFound(FoldlineError):
    """Nothing by that name in this workspace."""

    code = "not_found"


class Conflict(FoldlineError):
    """It clashes with what is already there."""

    code = "conflict"


class NotProjectedYet(FoldlineError):
    """The read model has not reached the position that was asked for."""

    code = "not_projected_yet"


class Overloaded(FoldlineError):
    """More is waiting to be written than may wait; try again shortly."""

    code = "overloaded"


class LedgerUnavailable(FoldlineError):
    """The ledger cannot be reached, so nothing was promised; try again shortly."""

    code = "ledger_unavailable"


class UnsafeServer(FoldlineError):
    """The PostgreSQL server is set up so that an acknowledged event could be lost."""

    code = "unsafe_server"


class LedgerGap(FoldlineError):
    """A position is missing: the reader stops rather than skip an event."""

    code = "hole_in_ledger"
