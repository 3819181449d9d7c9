"""Eight threads merge profiles concurrently, in both directions and in circles."""

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

THREADS, RUNS, MERGES_PER_THREAD = 8, 200, 3
USERS = [user(f"u-{n}") for n in range(10)]
DEVICES = [anonymous(f"a-{n}") for n in range(10)]

Pair = tuple[int, int]


class MergingProcesses:
    """Two ledgers over one database, as in two processes, each with two concurrent writers."""

    def __init__(self, dsn: str) -> None:
        self.stores = [LedgerDatastore(dsn, connections=THREADS) for _ in range(2)]
        eager = FlushLimits(second_writer_at=1)
        self.ledgers = [Ledger(store, Workspaces(store), limits=eager) for store in self.stores]
        self.services = [MergeService(ledger) for ledger in self.ledgers]
        self.engine = create_engine(dsn.replace("postgresql://", "postgresql+psycopg://", 1))
        self.projector = Projector(self.ledgers[0], self.engine, [identity.projection])
        self.projector.prepare()

    def workspace(self, name: str) -> int:
        """Create a workspace in which each user has a device."""
        workspace = Workspaces(self.stores[0]).create(name).id
        messages = [tracked("Viewed", *pair) for pair in zip(USERS, DEVICES, strict=True)]
        self.ledgers[0].record(workspace, messages).result(10)
        return workspace

    def merge(self, workspace: int, thread: int, pairs: Sequence[Pair]) -> None:
        """Merge pairs, every third by an alias of a source, the others by the API."""
        ledger, service = self.ledgers[thread % 2], self.services[thread % 2]
        for number, pair in enumerate(pairs):
            if number % 3 == 2:
                ledger.record(workspace, [alias(*pair)]).result(10)
                continue
            streams = (ledger.stream_of(workspace, USERS[index]) for index in pair)
            context = MergeContext("key", "a test", f"{thread}.{number}")
            service.merge(workspace, *streams, context)

    def close(self) -> None:
        for ledger, store in zip(self.ledgers, self.stores, strict=True):
            ledger.close()
            store.close()  # a session reports its statistics when it ends
        self.engine.dispose()


def alias(primary: int, secondary: int) -> Message:
    return tracked("alias", USERS[primary], kind="alias", absorbs=(USERS[secondary],))


@pytest.fixture
def processes(database: str) -> Iterator[MergingProcesses]:
    processes = MergingProcesses(database)
    yield processes
    processes.close()


@pytest.mark.parametrize("runs", [RUNS // 5, pytest.param(RUNS, marks=pytest.mark.nightly)])
def test_concurrent_merges_give_the_partition_of_union_find(database, processes, runs):
    chance = random.Random(4)
    with psycopg.connect(database, autocommit=True) as observer:
        before = deadlocks(observer)
        with ThreadPoolExecutor(THREADS) as threads:
            for run in range(runs):
                drawn = [
                    [tuple(chance.sample(range(len(USERS)), 2)) for _ in range(MERGES_PER_THREAD)]
                    for _ in range(THREADS)
                ]
                merges = [pairs[: chance.randint(0, MERGES_PER_THREAD)] for pairs in drawn]
                workspace = processes.workspace(f"run {run}")
                results = threads.map(partial(processes.merge, workspace), range(THREADS), merges)
                assert [*results] == [None] * THREADS  # iterating raises the error of any thread
                expected = partition([pair for pairs in merges for pair in pairs])
                check(processes, workspace, expected)
        processes.close()
        observer.execute("SELECT pg_stat_clear_snapshot()")
        assert deadlocks(observer) == before


def check(processes: MergingProcesses, workspace: int, expected: set[frozenset[int]]) -> None:
    ledger = processes.ledgers[0]
    streams = [ledger.stream_of(workspace, identifier) for identifier in (*USERS, *DEVICES)]
    processes.projector.catch_up(workspace)
    with processes.engine.connect() as tx:
        profiles = [identity.load_profile(tx, workspace, stream) for stream in streams]
    assert profiles == [ledger.profile(workspace, stream) for stream in streams]
    users_by_profile: dict[UUID, set[int]] = {}
    for number, profile in enumerate(profiles):
        assert profile.id in profile.streams
        assert profiles[streams.index(profile.id)].id == profile.id  # no circle, no chain
        users_by_profile.setdefault(profile.id, set()).add(number % len(USERS))
    assert set(map(frozenset, users_by_profile.values())) == expected


def partition(pairs: Sequence[Pair]) -> set[frozenset[int]]:
    """Return the expected sets, by a textbook union-find that is independent of the domain's."""
    parent = list(range(len(USERS)))

    def find(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    for left, right in pairs:
        parent[find(left)] = find(right)
    groups: dict[int, set[int]] = {}
    for number in range(len(USERS)):
        groups.setdefault(find(number), set()).add(number)
    return set(map(frozenset, groups.values()))


def deadlocks(observer: psycopg.Connection) -> int:
    sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    row = observer.execute(sql).fetchone()
    return row[0] if row else 0
