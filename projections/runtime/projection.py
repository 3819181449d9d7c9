"""What a read model is: a name, a version, its own tables, how it folds events, what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Connection, MetaData, Table

from domain.core.identifiers import Identifier
from domain.events.events import Event
from domain.events.recorded import RecordedEvent
from domain.identity.resolved_profile import ResolvedProfile
from domain.profiles.as_of import LedgerPoint, ProfileAsOf
from domain.profiles.erasure import ErasureScope
from projections.runtime.batch import Batch

FOR_QUERIES = {"for": "queries"}
"""The ``info`` of an index that no fold asks: a rebuild makes it once all rows are there."""


class LedgerFeed(Protocol):
    """Where projections read the ledger."""

    def read(self, workspace: int, after: int, limit: int) -> Sequence[RecordedEvent]:
        """Return up to ``limit`` events of the workspace that follow position ``after``."""
        ...

    def heads(self) -> Mapping[int, int]:
        """Return the last position of each workspace that has events."""
        ...

    def clock(self, workspace: int) -> LedgerPoint:
        """Return the last position and the time: no later event has an earlier one."""
        ...

    def stream_of(self, workspace: int, identifier: Identifier) -> UUID:
        """Return the id of an identifier's stream, whether or not it has events."""
        ...

    def identity_events_for(self, workspace: int, streams: Iterable[UUID]) -> Mapping[int, Event]:
        """Return, by position, all that was said about who the persons of these streams may be."""
        ...


@dataclass(frozen=True, kw_only=True)
class Reader:
    """What a query may use: one workspace, seen through one connection."""

    tx: Connection
    workspace: int
    stream_of: Callable[[Identifier], UUID]
    """The id of an identifier's stream in this workspace."""

    profile: Callable[[UUID], ResolvedProfile]
    """The person whose stream it is; a stream that nothing joins to others is one by itself."""

    profile_ids: Callable[[Iterable[UUID]], Mapping[UUID, UUID]]
    """The id of each stream's person, for many streams at once."""

    identity_members: Table
    """Whose each stream is, to be joined with: ``workspace``, ``stream``, ``person``.

    A stream that is not in it is a person by itself.
    """

    session: Callable[[str, ResolvedProfile], Mapping[str, Any] | None]
    """A person's session by its id, as the sessions read model has it."""

    profiles: Callable[[Iterable[UUID]], Mapping[UUID, ResolvedProfile]]
    """Each stream's person, for many streams at once."""

    identifiers: Callable[[Iterable[ResolvedProfile]], Mapping[UUID, tuple[Identifier, ...]]]
    """All names that each person goes by, by the person's id."""

    computed_attributes: Callable[[UUID], Mapping[str, Any]]
    """The values of the computed attributes in effect, by name, of the person whose stream it is."""

    recorded_event: Callable[[int], RecordedEvent | None]
    """The ledger's event at a position, with the payload as it was received."""

    profile_as_of: Callable[[UUID, int | datetime], ProfileAsOf | None]
    """The person whose stream it is, as the ledger knew them at a position or instant, if it did."""

    projected_to: int
    """Position up to which the query's read model and that of who is who have taken the events."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """One question that a read model answers; the HTTP layer makes a route of it."""

    path: str
    """Below ``/v1``, with path parameters in braces: ``/profiles/{ref}/timeline``."""

    params: type[BaseModel]
    """Path and query parameters; a repeated one is a list."""

    response_model: type[BaseModel]
    """Shape of the answer, for the published schema only."""

    handler: Callable[[Reader, Any], Mapping[str, Any]]
    """Return the answer as ``msgspec.json`` encodes it: it may hold ``msgspec.Raw``, already JSON."""

    summary: str


@dataclass(frozen=True, kw_only=True)
class Timers:
    """How a read model changes by itself.  Instants are microseconds since 1970 UTC."""

    next_due: Callable[[Connection, Sequence[int]], Mapping[int, int | None]]
    """Return when it next changes in each of some workspaces, if nothing happens before."""

    advance_to: Callable[[Connection, int, int], None]
    """Let time go by in a workspace that has no more events until an instant."""


@dataclass(frozen=True, kw_only=True)
class Projection:
    """One read model.  Raise ``version`` whenever tables or fold change: it is built anew."""

    name: str
    version: int
    metadata: MetaData
    apply: Callable[[Connection, Batch], None]
    """Fold one batch of one workspace.  Its writes commit together with the checkpoint."""

    weight: int = 5
    """What an event costs, next to other read models: those built at one time are shared out by it."""

    queries: tuple[Query, ...] = ()
    timers: Timers | None = None
    """How it changes by itself; None: only events change it."""

    erase: Callable[[Connection, ErasureScope], None] | None = None
    """Remove an erased person, so that what stays is what the blanked ledger adds up to.

    A read model kept by stream drops the rows of `Forgotten.cleared` (`forgetting.rows`).  None: it
    cannot subtract, so that it is emptied and built anew from the start.
    """

    def __post_init__(self) -> None:
        if self.metadata.schema != self.schema:
            raise ValueError(f"{self}: tables are in {self.metadata.schema}, not {self.schema}")

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

    @property
    def schema(self) -> str:
        """The PostgreSQL schema of this version's tables."""
        return schema_name(self.name, self.version)


def schema_name(name: str, version: int) -> str:
    """Return the PostgreSQL schema in which that version of a read model keeps its tables."""
    return f"read_{name}_v{version}"


def partition_by_weight(projections: Sequence[Projection], workers: int) -> list[list[Projection]]:
    """Share read models out among at most so many workers, so that all have about as much to do."""
    shares: list[list[Projection]] = [[] for _ in range(workers)]
    for projection in sorted(projections, key=lambda it: (-it.weight, it.name)):
        least = min(shares, key=lambda share: sum(it.weight for it in share))
        least.append(projection)
    return [share for share in shares if share]
