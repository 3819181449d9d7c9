"""A read model: name and version, its own tables, a fold of events, and queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Connection, MetaData

from domain.core.identifiers import Identifier
from domain.events.events import Event
from domain.events.recorded import RecordedEvent
from domain.profiles.as_of import LedgerPoint
from domain.profiles.erasure import ErasureScope
from projections.runtime.batch import Batch
from projections.runtime.ports import AllPorts

FOR_QUERIES = {"for": "queries"}
"""The ``info`` of an index that no fold uses: a rebuild creates it when all rows are there."""


class LedgerFeed(Protocol):
    """The ledger as projections read it."""

    def read(self, workspace: int, after: int, limit: int) -> Sequence[RecordedEvent]:
        """Returns up to ``limit`` events of the workspace that follow position ``after``."""
        ...

    def heads(self) -> Mapping[int, int]:
        """Returns the last position of each workspace that has events."""
        ...

    def clock(self, workspace: int) -> LedgerPoint:
        """Returns the last position and its time: no later event is recorded earlier."""
        ...

    def stream_of(self, workspace: int, identifier: Identifier) -> UUID:
        """Returns the id of an identifier's stream, whether or not it has events."""
        ...

    def identity_events_for(self, workspace: int, streams: Iterable[UUID]) -> Mapping[int, Event]:
        """Returns all recorded events about the identity of these streams, by position."""
        ...


@dataclass(frozen=True)
class Query:
    """A query of a read model; the HTTP layer makes a route of it."""

    path: str
    """Below ``/v1``, with path parameters in braces: ``/profiles/{ref}/timeline``."""

    params: type[BaseModel]
    """Path and query parameters; a repeated one is a list."""

    response_model: type[BaseModel]
    """Shape of the response, for the published schema only."""

    handler: Callable[[AllPorts, Any], Mapping[str, Any]]
    """Returns the response for ``msgspec.json`` to encode; it may contain ``msgspec.Raw``.

    Its first parameter is typed with the ports that it uses, `Reader` for none.
    """

    summary: str


@dataclass(frozen=True, kw_only=True)
class Timers:
    """Timers of a read model.  Instants are microseconds since 1970 UTC."""

    next_due: Callable[[Connection, Sequence[int]], Mapping[int, int | None]]
    """Returns the instant of the next timer in each workspace, None if there is none."""

    advance_to: Callable[[Connection, int, int], None]
    """Fires the timers of a workspace up to an instant before which no more events come."""


@dataclass(frozen=True)
class Projection:
    """One read model.  Raise ``version`` whenever tables or fold change, so that it is rebuilt."""

    name: str
    version: int
    metadata: MetaData
    apply: Callable[[Connection, Batch], None]
    """Applies one batch of one workspace.  Its writes commit together with the checkpoint."""

    _: KW_ONLY
    weight: int = 5
    """Relative cost of an event, by which read models are distributed over workers."""

    queries: tuple[Query, ...] = ()
    timers: Timers | None = None
    """Timers; None: only events change the read model."""

    erase: Callable[[Connection, ErasureScope], None] | None = None
    """Removes an erased profile, so that the rows are those of a rebuild from the blanked ledger.

    A read model with rows by stream deletes those of `ErasureScope.cleared_streams`
    (`erasure.erase_by_stream`).  None: the read model cannot subtract, so it is emptied and rebuilt.
    """

    def __post_init__(self) -> None:
        if self.metadata.schema != self.schema:
            raise ValueError(f"{self}: tables are in {self.metadata.schema}, not {self.schema}")

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

    @property
    def schema(self) -> str:
        """PostgreSQL schema of this version's tables."""
        return schema_name(self.name, self.version)


def schema_name(name: str, version: int) -> str:
    """Returns the PostgreSQL schema of the tables of that version of a read model."""
    return f"read_{name}_v{version}"


def partition_by_weight(projections: Sequence[Projection], workers: int) -> list[list[Projection]]:
    """Distributes read models over at most so many workers, with about equal cost."""
    shares: list[list[Projection]] = [[] for _ in range(workers)]
    for projection in sorted(projections, key=lambda p: (-p.weight, p.name)):
        least = min(shares, key=lambda share: sum(p.weight for p in share))
        least.append(projection)
    return [share for share in shares if share]
