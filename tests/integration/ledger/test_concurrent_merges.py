"""Eight who merge at once, each way round and in circles: who is who comes out as if one had."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import create_engine

from application.ledger.append.group_commit import FlushLimits
from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables.workspaces import Workspaces
from application.profiles.merging import MergeContext, MergeService
from domain.events.message import Message
from projections import identity
from projections.runtime.projector import Projector
from tests.builders import anonymous, tracked, user

pytestmark = pytest.mark.storage

THREADS, RUNS, EACH = 8, 200, 3
PEOPLE = [user(f"u-{n}") for n in range(10)]
DEVICES = [anonymous(f"a-{n}") for n in range(10)]

Pair = tuple[int, int]


class Deciding:
    """Two ledgers over one database, as in two processes, each with a second writer at once."""

    def __init__(self, dsn: str) -> None:
        self.stores = [LedgerDatastore(dsn, connections=THREADS) for _ in range(2)]
        eager = FlushLimits(second_writer_at=1)
        self.ledgers = [Ledger(it, Workspaces(it), limits=eager) for it in self.stores]
        self.merging = [MergeService(it) for it in self.ledgers]
        self.engine = create_engine(dsn.replace("postgresql://", "postgresql+psycopg://", 1))
        self.projector = Projector(self.ledgers[0], self.engine, [identity.projection])
        self.projector.prepare()

    def workspace(self, name: str) -> int:
        """Make a workspace in which everybody has a device."""
        made = Workspaces(self.stores[0]).create(name).id
        shown = [tracked("Viewed", *both) for both in zip(PEOPLE, DEVICES, strict=True)]
        self.ledgers[0].record(made, shown).result(10)
        return made

    def merge(self, workspace: int, thread: int, pairs: Sequence[Pair]) -> None:
        """Merge pairs, as a person would by API or as a source does by an alias."""
        for number, (one, other) in enumerate(pairs):
            ledger, merging = self.ledgers[thread % 2], self.merging[thread % 2]
            if number % 3 == 2:
                ledger.record(workspace, [alias(one, other)]).result(10)
                continue
            streams = (ledger.stream_of(workspace, PEOPLE[it]) for it in (one, other))
            decision = MergeContext("key", "a test", f"{thread}.{number}")
            merging.merge(workspace, *streams, decision)

    def close(self) -> None:
        for ledger, store in zip(self.ledgers, self.stores, strict=True):
            ledger.close()
            store.close()  # a session hands in its statistics when it ends
        self.engine.dispose()


def alias(one: int, other: int) -> Message:
    return tracked("alias", PEOPLE[one], kind="alias", absorbs=(PEOPLE[other],))


@pytest.fixture
def deciding(database: str) -> Iterator[Deciding]:
    made = Deciding(database)
    yield made
    made.close()


def test_concurrent_merges_give_the_partition_of_union_find(database, deciding):
    chance = random.Random(4)
    with psycopg.connect(database, autocommit=True) as watching:
        before = deadlocks(watching)
        with ThreadPoolExecutor(THREADS) as threads:
            for run in range(RUNS):
                work = [
                    [tuple(chance.sample(range(len(PEOPLE)), 2)) for _ in range(EACH)]
                    for _ in range(THREADS)
                ]
                few = [pairs[: chance.randint(0, EACH)] for pairs in work]
                workspace = deciding.workspace(f"run {run}")
                done = threads.map(partial(deciding.merge, workspace), range(THREADS), few)
                assert [*done] == [None] * THREADS  # raises what any of them raised
                check(deciding, workspace, partition([it for pairs in few for it in pairs]))
        deciding.close()
        watching.execute("SELECT pg_stat_clear_snapshot()")
        assert deadlocks(watching) == before


def check(deciding: Deciding, workspace: int, expected: set[frozenset[int]]) -> None:
    ledger = deciding.ledgers[0]
    streams = [ledger.stream_of(workspace, it) for both in (PEOPLE, DEVICES) for it in both]
    deciding.projector.catch_up(workspace)
    with deciding.engine.connect() as tx:
        persons = [identity.load_profile(tx, workspace, it) for it in streams]
    assert persons == [ledger.profile(workspace, it) for it in streams]
    found: dict[UUID, set[int]] = {}
    for number, person in enumerate(persons):
        assert person.id in person.streams
        assert persons[streams.index(person.id)].id == person.id  # no circle, no chain
        found.setdefault(person.id, set()).add(number % len(PEOPLE))
    assert set(map(frozenset, found.values())) == expected


def partition(pairs: Sequence[Pair]) -> set[frozenset[int]]:
    """Union-find, as in a textbook."""
    parent = list(range(len(PEOPLE)))

    def find(it: int) -> int:
        while parent[it] != it:
            it = parent[it]
        return it

    for one, other in pairs:
        parent[find(one)] = find(other)
    groups: dict[int, set[int]] = {}
    for number in range(len(PEOPLE)):
        groups.setdefault(find(number), set()).add(number)
    return set(map(frozenset, groups.values()))


def deadlocks(watching: psycopg.Connection) -> int:
    sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    row = watching.execute(sql).fetchone()
    return row[0] if row else 0
