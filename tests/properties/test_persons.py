"""The identity read model gives the same profiles as the ledger, for any order and batches."""

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

IDENTIFIERS = [
    Identifier(kind, value)
    for kind in ("user_id", "email", "anonymous_id")
    for value in ("a", "b", "c", "null")
]
identifiers = st.sampled_from(IDENTIFIERS)
instants = st.integers(0, 6).map(lambda minutes: NOON + timedelta(minutes=minutes))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    kind = draw(st.sampled_from(["track", "track", "alias", "merge", "unmerge"]))
    at, subject = draw(instants), draw(identifiers)
    if kind == "merge":
        policy = draw(st.sampled_from(["latest", "primary"]))
        return merged(subject, draw(identifiers), occurred_at=at, policy=policy)
    if kind == "unmerge":
        return unmerged(subject, *draw(st.lists(identifiers, max_size=3)), occurred_at=at)
    if kind == "alias":
        previous = draw(identifiers)
        guesses = (previous, Identifier("anonymous_id", previous.value))
        absorbs = () if previous == subject else guesses
        return tracked("alias", subject, kind="alias", absorbs=absorbs, occurred_at=at)
    subjects = draw(st.lists(identifiers, min_size=1, max_size=3))
    return tracked("Viewed", *subjects, occurred_at=at)


class IdentityBench:
    """A real ledger and the identity read model."""

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
def bench(database: str) -> Iterator[IdentityBench]:
    bench = IdentityBench(database)
    yield bench
    bench.close()


@examples.on_one_database(0.4)
@given(
    history=st.lists(messages(), min_size=1, max_size=15),
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=20),
)
def test_the_read_model_equals_the_ledger(bench, history, sizes):
    workspace = bench.workspace()
    for message in history:
        bench.ledger.record(workspace, [message]).result(10)
    for size in sizes:
        bench.projector.advance(workspace, size)
    bench.projector.catch_up(workspace)

    with bench.engine.connect() as tx:
        streams = [bench.ledger.stream_of(workspace, identifier) for identifier in IDENTIFIERS]
        expected = [bench.ledger.profile(workspace, stream) for stream in streams]
        assert [identity.load_profile(tx, workspace, stream) for stream in streams] == expected
        ids = identity.load_profile_ids(tx, workspace, streams)
        assert [ids[stream] for stream in streams] == [profile.id for profile in expected]
