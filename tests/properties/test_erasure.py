"""Whoever is erased, and whenever: the read models are what the blanked ledger adds up to."""

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
from application.profiles.erasing import ErasureContext, ErasureService
from domain.core.errors import NotFound
from domain.core.identifiers import Identifier
from domain.events.message import Message
from domain.identity.resolved_profile import ResolvedProfile
from projections import PROJECTIONS
from projections.rebuild.erasure import begin_erasure
from projections.runtime.projector import Projector
from tests import examples
from tests.builders import NOON, anonymous, merged, tracked, unmerged, user
from tests.canary import rows
from tests.integration.projections.history import with_payload

WHO = tuple(of(f"{n}-canary") for of in (user, anonymous) for n in ("one", "two", "three"))

_workspaces = count(1)


class Running(NamedTuple):
    dsn: str
    ledger: Ledger
    workspaces: Workspaces
    projector: Projector
    erasing: ErasureService


@pytest.fixture
def running(database: str) -> Iterator[Running]:
    """A ledger and its read models; each example takes a workspace of its own."""
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


names = st.sampled_from(WHO)
instants = st.builds(lambda it: NOON + timedelta(minutes=it), st.integers(0, 30))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    kind = draw(
        st.sampled_from(["track", "page", "identify", "group", "alias", "merge", "unmerge"])
    )
    at = draw(instants)
    if kind == "merge":
        policy = draw(st.sampled_from(["latest", "primary"]))
        return merged(draw(names), draw(names), occurred_at=at, policy=policy)
    if kind == "unmerge":
        return unmerged(draw(names), draw(names), occurred_at=at)
    who = draw(st.lists(names, min_size=1, max_size=2, unique=True))
    absorbs = (draw(names),) if kind == "alias" else ()
    name = draw(st.sampled_from(["Email Sent", "Email Opened"])) if kind == "track" else kind
    message = tracked(name, *who, kind=kind, occurred_at=at, absorbs=absorbs)
    said = {"plan": draw(st.integers(0, 2)), "email": f"{draw(names).value}@example.com"}
    about = {"n": 1, "message_id": draw(st.sampled_from(["m-1", "m-2"]))}
    payload = {"type": kind, "traits": said, "properties": about, "groupId": "g"}
    context = {"sessionId": draw(st.sampled_from(["s-1", "s-2"])), "device": {"token": "t"}}
    return with_payload(message, payload | {"context": context})


histories = st.lists(messages(), min_size=1, max_size=14)


@examples.on_one_database(0.15)
@given(before=histories, after=histories, victim=names, projected=st.integers(0, 30))
def test_read_models_forget_what_the_ledger_forgot(
    running: Running, before, after, victim: Identifier, projected: int
) -> None:
    workspace = running.workspaces.create(f"w-{next(_workspaces)}").id
    running.ledger.record(workspace, before).result(10)
    if projected:
        running.projector.advance(workspace, projected)
    people = _people(running, workspace)
    gone = people[victim].streams
    try:
        erased = running.erasing.erase(
            workspace, gone[0], ErasureContext(datetime.now(UTC), "key-1", "asked")
        )
        assert set(erased.streams) == set(gone)
    except NotFound:
        assert all(
            it.event is None or it.stream not in gone
            for it in running.ledger.read(workspace, 0, 999)
        )
    held = _held(running, workspace)
    for stream in gone:
        assert not any(str(stream) in row for table in held for row in held[table])
    now, others = _people(running, workspace), [it for it in WHO if people[it].id != gone[0]]
    assert [now[it].streams for it in others] == [people[it].streams for it in others]
    assert [now[it].demoted for it in others] == [people[it].demoted for it in others]

    running.ledger.record(workspace, after).result(10)
    running.projector.catch_up(workspace, 5)
    live = _held(running, workspace)
    with begin_erasure(running.projector, workspace) as unit:
        for it in PROJECTIONS:
            unit._empty(it.name, it.version)
    running.projector.catch_up(workspace)
    assert _held(running, workspace) == live


def _people(running: Running, workspace: int) -> dict[Identifier, ResolvedProfile]:
    stream_of = partial(running.ledger.stream_of, workspace)
    return {it: running.ledger.profile(workspace, stream_of(it)) for it in WHO}


def _held(running: Running, workspace: int) -> dict[str, list[str]]:
    """Every row of every read model."""
    tables = [str(it) for each in PROJECTIONS for it in each.metadata.sorted_tables]
    return {it: rows(running.dsn, it, workspace) for it in tables}
