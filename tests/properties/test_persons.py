"""Who is who in the read model: the same as the ledger says, whatever the order and the batches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables.workspaces import Workspaces
from domain.core.identifiers import Identifier
from domain.events.message import Message
from projections import identity
from projections.runtime.projector import Projector
from tests import examples
from tests.builders import NOON, merged, tracked, unmerged

NAMES = [
    Identifier(kind, value)
    for kind in ("user_id", "email", "anonymous_id")
    for value in ("a", "b", "c", "null")
]
names = st.sampled_from(NAMES)
instants = st.integers(0, 6).map(lambda minutes: NOON + timedelta(minutes=minutes))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    kind = draw(st.sampled_from(["track", "track", "alias", "merge", "unmerge"]))
    at, who = draw(instants), draw(names)
    if kind == "merge":
        policy = draw(st.sampled_from(["latest", "primary"]))
        return merged(who, draw(names), occurred_at=at, policy=policy)
    if kind == "unmerge":
        return unmerged(who, *draw(st.lists(names, max_size=3)), occurred_at=at)
    if kind == "alias":
        before = draw(names)
        either = () if before == who else (before, Identifier("anonymous_id", before.value))
        return tracked("alias", who, kind="alias", absorbs=either, occurred_at=at)
    return tracked("Viewed", *draw(st.lists(names, min_size=1, max_size=3)), occurred_at=at)


class Kept:
    """A real ledger, and the identity read model over it."""

    def __init__(self, dsn: str) -> None:
        self.store = LedgerDatastore(dsn)
        self.workspaces = Workspaces(self.store)
        self.ledger = Ledger(self.store, self.workspaces)
        self.engine = create_engine(dsn.replace("postgresql://", "postgresql+psycopg://", 1))
        self.projector = Projector(self.ledger, self.engine, [identity.projection])
        self.projector.prepare()
        self._numbers = count(1)

    def workspace(self) -> int:
        return self.workspaces.create(f"workspace {next(self._numbers)}").id

    def close(self) -> None:
        self.ledger.close()
        self.store.close()
        self.engine.dispose()


@pytest.fixture
def kept(database: str) -> Iterator[Kept]:
    made = Kept(database)
    yield made
    made.close()


@examples.on_one_database(0.4)
@given(
    history=st.lists(messages(), min_size=1, max_size=15),
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=20),
)
def test_the_read_model_says_what_the_ledger_says(kept, history, sizes):
    workspace = kept.workspace()
    for message in history:
        kept.ledger.record(workspace, [message]).result(10)
    for size in sizes:
        kept.projector.advance(workspace, size)
    kept.projector.catch_up(workspace)

    with kept.engine.connect() as tx:
        streams = [kept.ledger.stream_of(workspace, it) for it in NAMES]
        known = [kept.ledger.person(workspace, stream) for stream in streams]
        assert [identity.load_profile(tx, workspace, stream) for stream in streams] == known
        people = identity.load_profile_ids(tx, workspace, streams)
        assert [people[stream] for stream in streams] == [it.id for it in known]
