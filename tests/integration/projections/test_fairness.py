"""A workspace with a backlog delays no other; several take turns in short batches."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock

import pytest

from projections.runtime import batch_size
from projections.runtime.worker import Follower
from tests.builders import tracked
from tests.integration.projections.given import Given, until
from tests.integration.projections.history import recorded

BATCH, SHORT = 20, 4
HEAVY, LIGHT = 1, 2


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (
        ("BATCH_SIZE", BATCH),
        ("MAX_BATCH_SIZE", 2 * BATCH),
        ("MIN_SHARED_SIZE", SHORT),
        ("MIN_SHORT_SIZE", SHORT),
        ("SHORT_SECONDS", 0),
    ):
        monkeypatch.setattr(batch_size, name, size)


@pytest.fixture
def reads(given: Given) -> list[tuple[int, int]]:
    """Workspace and size of each batch that is read."""
    found, read = [], given.feed.read

    def noted(workspace, after, limit):
        found.append((workspace, limit))
        return read(workspace, after, limit)

    given.feed.read = noted
    return found


def grow(given: Given, workspace: int, events: int) -> None:
    history = given.feed.workspaces.get(workspace, [])
    more = recorded([tracked(f"W{workspace}") for _ in range(events)], after=len(history))
    given.feed.workspaces[workspace] = [*history, *more]


def test_a_workspace_with_a_backlog_holds_up_no_other(given: Given, running) -> None:
    go_on, read = Event(), given.feed.read

    def slow(workspace, after, limit):
        assert workspace != HEAVY or go_on.wait(20)
        return read(workspace, after, limit)

    given.feed.read = slow
    grow(given, HEAVY, SHORT + 1)
    grow(given, LIGHT, 1)
    running(given.projector)
    try:
        for seen in (1, 2):
            until(lambda seen=seen: len(given.names(workspace=LIGHT)) == seen)
            grow(given, LIGHT, 1)
        assert given.names(workspace=HEAVY) == []
    finally:
        go_on.set()
    until(lambda: not any(status.lag for status in given.projector.status()))


def test_workspaces_with_backlogs_take_turns_in_short_batches(given, reads) -> None:
    follower = Follower(given.projector)
    grow(given, HEAVY, 3 * BATCH)
    grow(given, LIGHT, 3 * BATCH)
    assert follower.poll() is not None
    assert reads == [], "both are left to the other thread"
    for _ in range(2):
        follower.poll_backlogs()
    assert reads == [(HEAVY, SHORT), (LIGHT, SHORT)] * 2


def test_the_only_backlog_is_applied_in_large_batches(given, reads) -> None:
    follower = Follower(given.projector)
    grow(given, HEAVY, 2 * BATCH)
    grow(given, LIGHT, 1)
    follower.poll()
    for _ in range(3):
        follower.poll_backlogs()
    assert reads == [(LIGHT, BATCH), (HEAVY, BATCH), (HEAVY, BATCH)], "then none is left"


def test_no_workspace_is_applied_by_both_threads_at_once(given: Given, running) -> None:
    """Each works while the other one does, on backlogs that come and go."""
    lock, applying, twice = Lock(), set[int](), list[int]()
    apply_batch: Callable[..., object] = given.projector.apply_batch

    def watched(workspace, *args):
        with lock:
            twice.extend({workspace} & applying)
            applying.add(workspace)
        try:
            return apply_batch(workspace, *args)
        finally:
            with lock:
                applying.discard(workspace)

    given.projector.apply_batch = watched
    running(given.projector)
    for events in (1, 30, 2, 9, 40, 1, 5, 1, 60, 3):
        for workspace in (1, 2, 3):
            grow(given, workspace, (events * workspace) % 50)
        Event().wait(0.05)
    until(lambda: not any(status.lag for status in given.projector.status()))
    assert twice == []
    for workspace, history in given.feed.workspaces.items():
        assert len(given.names(workspace=workspace, limit=500)) == len(history)
