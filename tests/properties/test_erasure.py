"""Erasure of any profile at any time: read models equal a rebuild from the blanked ledger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables.workspaces import Workspaces
from application.profiles.erasing import ErasureService
from application.profiles.erasure_attempt import ErasureContext
from domain.core.errors import NotFound
from domain.core.identifiers import Identifier
from domain.events.message import Message
from domain.identity import claims
from domain.identity.resolved_profile import ResolvedProfile
from projections import PROJECTIONS
from projections.rebuild.erasure import begin_erasure
from projections.runtime.projector import Projector
from tests import examples
from tests.builders import NOON, anonymous, merged, tracked, unmerged, user
from tests.canary import table_rows
from tests.integration.projections.history import with_payload

IDENTIFIERS = tuple(
    of_kind(f"{n}-canary") for of_kind in (user, anonymous) for n in ("one", "two", "three")
)

_workspaces = count(1)


class Running(NamedTuple):
    dsn: str
    ledger: Ledger
    workspaces: Workspaces
    projector: Projector
    erasing: ErasureService


@pytest.fixture
def running(database: str) -> Iterator[Running]:
    """A ledger and its read models; each example has its own workspace."""
    store = LedgerDatastore(database)
    workspaces = Workspaces(store)
    ledger = Ledger(store, workspaces)
    engine = create_engine(database.replace("postgresql://", "postgresql+psycopg://", 1))
    projector = Projector(ledger, engine, PROJECTIONS)
    projector.prepare()
    yield Running(
        database,
        ledger,
        workspaces,
        projector,
        ErasureService(ledger, partial(begin_erasure, projector)),
    )
    ledger.close()
    store.close()
    engine.dispose()


identifiers = st.sampled_from(IDENTIFIERS)
instants = st.integers(0, 30).map(lambda minutes: NOON + timedelta(minutes=minutes))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    kind = draw(
        st.sampled_from(["track", "page", "identify", "group", "alias", "merge", "unmerge"])
    )
    at = draw(instants)
    if kind == "merge":
        policy = draw(st.sampled_from(["latest", "primary"]))
        return merged(draw(identifiers), draw(identifiers), occurred_at=at, policy=policy)
    if kind == "unmerge":
        return unmerged(draw(identifiers), draw(identifiers), occurred_at=at)
    subjects = draw(st.lists(identifiers, min_size=1, max_size=2, unique=True))
    absorbs = (draw(identifiers),) if kind == "alias" else ()
    name = draw(st.sampled_from(["Email Sent", "Email Opened"])) if kind == "track" else kind
    message = tracked(name, *subjects, kind=kind, occurred_at=at, absorbs=absorbs)
    traits = {"plan": draw(st.integers(0, 2)), "email": f"{draw(identifiers).value}@example.com"}
    properties = {"n": 1, "message_id": draw(st.sampled_from(["m-1", "m-2"]))}
    payload = {"type": kind, "traits": traits, "properties": properties, "groupId": "g"}
    context = {"sessionId": draw(st.sampled_from(["s-1", "s-2"])), "device": {"token": "t"}}
    return with_payload(message, payload | {"context": context})


histories = st.lists(messages(), min_size=1, max_size=14)


@pytest.mark.parametrize("max_claims", [claims.MAX_CLAIMS, 1])
def test_read_models_equal_a_rebuild_from_the_blanked_ledger(
    running: Running, monkeypatch: pytest.MonkeyPatch, max_claims: int
) -> None:
    monkeypatch.setattr(claims, "MAX_CLAIMS", max_claims)

    @examples.on_one_database(0.1)
    @given(before=histories, after=histories, erased=identifiers, projected=st.integers(0, 30))
    def check(before, after, erased, projected):
        check_erasure(running, before, after, erased, projected)

    check()


def check_erasure(
    running: Running,
    before: list[Message],
    after: list[Message],
    erased: Identifier,
    projected: int,
) -> None:
    workspace = running.workspaces.create(f"w-{next(_workspaces)}").id
    running.ledger.record(workspace, before).result(10)
    if projected:
        running.projector.advance(workspace, projected)
    profiles = _profiles(running, workspace)
    streams = profiles[erased].streams
    context = ErasureContext(datetime.now(UTC), "key-1", "requested")
    try:
        erasure = running.erasing.erase(workspace, streams[0], context)
        assert set(erasure.streams) == set(streams)
    except NotFound:
        assert all(
            recorded.event is None or recorded.stream not in streams
            for recorded in running.ledger.read(workspace, 0, 999)
        )
    rows = _rows_by_table(running, workspace)
    for stream in streams:
        assert not any(str(stream) in row for table in rows for row in rows[table])
    after_erasure = _profiles(running, workspace)
    for identifier, profile in profiles.items():
        if profile.id != streams[0] and len(before) < claims.MAX_CLAIMS:  # else others claim more
            assert after_erasure[identifier].streams == profile.streams
            assert after_erasure[identifier].demoted == profile.demoted

    running.ledger.record(workspace, after).result(10)
    running.projector.catch_up(workspace, 5)
    live = _rows_by_table(running, workspace)
    with begin_erasure(running.projector, workspace) as unit:
        for projection in PROJECTIONS:
            unit._empty(projection.name, projection.version)
    running.projector.catch_up(workspace)
    assert _rows_by_table(running, workspace) == live


def _profiles(running: Running, workspace: int) -> dict[Identifier, ResolvedProfile]:
    return {
        identifier: running.ledger.profile(
            workspace, running.ledger.stream_of(workspace, identifier)
        )
        for identifier in IDENTIFIERS
    }


def _rows_by_table(running: Running, workspace: int) -> dict[str, list[str]]:
    """Every row of every read model."""
    tables = [
        str(table) for projection in PROJECTIONS for table in projection.metadata.sorted_tables
    ]
    return {table: table_rows(running.dsn, table, workspace) for table in tables}
