"""Erasure during concurrent reads, writes and projection: erased data does not come back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event, Thread

from application.ledger.erasure import erasure
from application.profiles import erasing
from domain.events.events import CommandEvent, ProfileErased
from projections.runtime import checkpoint
from projections.runtime.projector import Projector
from tests.builders import NOON, anonymous, tracked, user
from tests.canary import tables_containing
from tests.integration.http.erasure_calls import ANN, BOB, PHONE, erase, names, post
from tests.integration.http.serving import Served, serving


class SlowFeed:
    """A feed that holds a batch back after it was read."""

    def __init__(self, feed) -> None:
        self._feed, self.heads = feed, feed.heads
        self.stream_of, self.identity_events_for = feed.stream_of, feed.identity_events_for
        self.has_read, self.go_on = Event(), Event()

    def read(self, workspace: int, after: int, limit: int):
        records = self._feed.read(workspace, after, limit)
        self.has_read.set()
        assert self.go_on.wait(20)
        return records


def erase_between_reading_and_applying(served: Served, database: str) -> dict[str, list[str]]:
    served.record(tracked("Viewed", ANN, PHONE, properties={"a": "canary"}))
    projector = served.service.projector
    feed = SlowFeed(projector.feed)
    slow = Projector(feed, projector._engine, projector.projections)
    projecting = Thread(target=slow.advance, args=(served.workspace,))
    projecting.start()
    assert feed.has_read.wait(10)
    eraser = Thread(target=erase, args=(served, ANN))
    eraser.start()
    eraser.join(1)
    feed.go_on.set()
    projecting.join()
    eraser.join()
    served.project()
    return tables_containing(database, ["canary"])


def test_a_batch_read_before_the_erasure_restores_nothing(served: Served, database: str) -> None:
    assert erase_between_reading_and_applying(served, database) == {}


def test_without_the_lock_such_a_batch_restores_data(
    served: Served, database: str, monkeypatch
) -> None:
    monkeypatch.setattr(checkpoint, "block_erasures", lambda *_: None)
    assert erase_between_reading_and_applying(served, database)


def test_messages_during_an_erasure_are_erased_or_begin_a_new_profile(
    served: Served, database: str
) -> None:
    """Messages keep coming, with devices of their own: none is left on the wrong side of Erased."""
    ann, stop = user("ann"), Event()

    def keep_sending(sender: int) -> int:
        sent = 0
        while not stop.is_set():
            sent += 1
            device = anonymous(f"device-{sender}-{sent}")
            served.record(tracked("Viewed", ann, device), tracked("Alone", device))
        return sent

    with ThreadPoolExecutor(4) as pool:
        senders = [pool.submit(keep_sending, item) for item in range(3)]
        statuses = [erase(served, ann).status_code for _ in range(8)]
        stop.set()
        assert all(item.result() for item in senders)
    assert set(statuses) <= {200, 404}
    events = served.service.ledger.read(served.workspace, 0, 1_000_000)
    assert [item.position for item in events] == [*range(1, len(events) + 1)]
    gone = {
        stream: item.position
        for item in events
        if isinstance(item.event, ProfileErased)
        for stream in item.event.streams
    }
    message_events = [
        item
        for item in events
        if item.event is not None and not isinstance(item.event, CommandEvent)
    ]
    assert all(item.position > gone.get(item.stream, 0) for item in message_events)
    served.project()
    assert erase(served, ann).status_code in {200, 404}


def test_a_link_recorded_during_the_erasure_restarts_it(
    served: Served, database: str, monkeypatch
) -> None:
    served.record(tracked("Viewed", ANN), tracked("Alone", PHONE))
    severed, late = erasure.delete_seen_links, iter([True])

    def link_meanwhile(*args) -> None:
        if next(late, False):
            served.record(tracked("Viewed", ANN, PHONE))
        severed(*args)

    monkeypatch.setattr(erasing.erasure, "delete_seen_links", link_meanwhile)
    assert len(erase(served, ANN).json()["streams"]) == 2
    assert tables_containing(database, ["canary"]) == {}


def test_an_erasure_locks_out_writers_when_links_keep_coming(
    served: Served, database: str, monkeypatch
) -> None:
    served.record(tracked("Viewed", ANN))
    hold, patient = erasure.lock_head, []

    def link_until_held(connection, workspace: int, stream) -> None:
        if len(patient) < erasing.MAX_OPTIMISTIC_ATTEMPTS:
            patient.append(tracked("Viewed", ANN, anonymous(f"canary-{len(patient)}")))
            served.record(patient[-1])
        hold(connection, workspace, stream)

    monkeypatch.setattr(erasing.erasure, "lock_head", link_until_held)
    assert len(erase(served, ANN).json()["streams"]) == 1 + erasing.MAX_OPTIMISTIC_ATTEMPTS
    assert tables_containing(database, ["canary"]) == {}


def test_every_process_applies_a_suppression_at_once(served: Served, database: str) -> None:
    with serving(database) as other:

        def record(*messages):
            return other.ledger.record(served.workspace, messages).result(10)

        assert record(tracked("Viewed", ANN, PHONE)).recorded == 1
        post(served, "suppress", profile=str(ANN))
        assert record(tracked("Viewed", PHONE)).suppressed == 1
        post(served, "unsuppress", profile=str(ANN))
        assert record(tracked("Viewed", ANN, PHONE)).recorded == 1
        profile = served.service.ledger.profile(
            served.workspace, served.service.ledger.stream_of(served.workspace, ANN)
        )
        assert len(profile.streams) == 2


def test_a_failed_erasure_leaves_no_trace(served: Served, monkeypatch) -> None:
    served.record(tracked("Viewed", ANN))
    served.project()

    def fail(*_args) -> None:
        raise RuntimeError("the power went")

    monkeypatch.setattr(erasing, "append_events", fail)
    assert erase(served, ANN).status_code == 500
    monkeypatch.undo()
    assert names(served, ANN) == ["Viewed"]
    assert served.service.ledger.read(served.workspace, 0, 9)[0].event is not None
    assert erase(served, ANN).status_code == 200


def test_an_erasure_leaves_other_workspaces_alone(served: Served) -> None:
    other = served.service.workspaces.create("other").id
    served.service.ledger.record(other, [tracked("Viewed", ANN)]).result(10)
    served.record(tracked("Viewed", ANN), tracked("Viewed", BOB, occurred_at=NOON + timedelta(1)))
    erase(served, ANN)
    assert served.service.ledger.read(other, 0, 9)[0].event is not None
