"""Triggers fire once for ever, whoever dies when, and no rebuild fires any."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from application.automation import firing as firing_module
from application.automation.firing import FiringWorker
from application.definitions.rules import RuleService
from application.definitions.store import CommandContext
from application.ledger.tables import fired
from domain.core.time import to_micros
from domain.events.rule_events import TriggerFired
from domain.rules.rule import RuleVersion
from interfaces.bootstrap import create_projection_engine
from interfaces.trigger_source import create_firing_worker
from projections import PROJECTIONS, segments
from projections.rebuild.service import RebuildService
from projections.runtime.projector import Projector
from projections.segments.tables import rule_run
from tests.builders import anonymous, tracked, user
from tests.fix_ledger import Bench
from tests.integration.dying_firer import DIED

BY = CommandContext("key-1")
TAGS = [{"add_tag": {"tag": "buyer"}}, {"webhook": {"endpoint": "crm"}}]


class Automated:
    """A ledger, its read models, and what fires."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.engine = create_projection_engine(bench.dsn)
        self.projector = Projector(bench.ledger, self.engine, PROJECTIONS)
        self.projector.prepare()
        self.firing = self.another()

    def another(self) -> FiringWorker:
        return create_firing_worker(self.bench.ledger, self.engine)

    def rule(self, **plan: Any) -> None:
        """Define a rule `r`, and enable it."""
        said = {name: it for name, it in ({"actions": TAGS} | plan).items() if it is not None}
        definition = RuleVersion("R", "", json.dumps(said).encode())
        rules = RuleService(self.bench.ledger)
        rules.define(self.bench.workspace, "r", definition, BY)
        rules.set_enabled(self.bench.workspace, "r", BY, enabled=True)
        self.project()

    def happens(self, *names: str, **facts: Any) -> None:
        now = self.bench.ledger.clock(self.bench.workspace).recorded_at
        facts = {"occurred_at": now, "received_at": now} | facts
        self.bench.record(*(tracked(it, user("ann"), **facts) for it in names))
        self.project()

    def project(self) -> None:
        self.projector.catch_up(self.bench.workspace)

    def later(self, by: timedelta) -> None:
        """Move the ledger's clock, and let time go by."""
        self.bench.sql("UPDATE ledger.ledger_head SET recorded_at = recorded_at + %s", by)
        clock = self.bench.ledger.clock(self.bench.workspace).recorded_at
        with self.engine.begin() as tx:
            segments.sweep(tx, self.bench.workspace, to_micros(clock))

    def fire(self) -> int:
        return self.firing.fire_due(self.bench.workspace)

    def triggers(self) -> list[tuple[str, str]]:
        rows = self.bench.sql(
            f"SELECT outcome, reason FROM {rule_run} ORDER BY triggered_at, cause"
        )
        return [(outcome, reason) for outcome, reason in rows]

    def fired(self) -> list[TriggerFired]:
        return [it.event for it in self.bench.all() if isinstance(it.event, TriggerFired)]

    def deliveries(self) -> list[Any]:
        return self.bench.sql("SELECT rule, version, cause, action, context FROM ledger.delivery")

    def rebuild(self) -> None:
        lifecycle = RebuildService(self.projector)
        lifecycle.request(["segments"], "rebuild")
        assert lifecycle.run_builds("segments")


@pytest.fixture
def automated(bench: Bench) -> Iterator[Automated]:
    made = Automated(bench)
    yield made
    made.engine.dispose()


def test_a_trigger_is_recorded_with_what_is_to_be_done(automated: Automated) -> None:
    automated.rule(trigger={"event": "order"})
    automated.happens("viewed", "order", properties={"total": 3})
    assert automated.fire() == 1
    [event] = automated.fired()
    assert (event.rule, event.rule_version, event.branch) == ("r", 1, "at_once")
    rows = automated.deliveries()
    assert sorted((json.loads(it[3]) for it in rows), key=repr) == TAGS
    context = json.loads(rows[0][4])
    assert context["event"] == context["client"]["eventContext"] == {"total": 3}
    assert (context["trigger"]["subject"], context["depth"]) == ("order", 0)
    automated.project()
    assert automated.fire() == 0
    [[position]] = automated.bench.sql(f"SELECT fired_position FROM {rule_run}")
    assert position == len(automated.bench.all())


def test_however_many_fire_at_once_each_trigger_does_once(automated: Automated) -> None:
    automated.rule(trigger={"event": "order"})
    automated.happens(*["order"] * 40)
    firers = [automated.another() for _ in range(4)]
    with ThreadPoolExecutor(len(firers)) as pool:
        done = list(pool.map(lambda it: it.step(automated.bench.workspace), firers))
    assert sum(done) == 40
    assert len({it.cause for it in automated.fired()}) == len(automated.fired()) == 40
    assert len(automated.deliveries()) == 80


def test_many_fire_some_at_a_time_and_none_is_left_out(automated: Automated, monkeypatch) -> None:
    monkeypatch.setattr(firing_module, "BATCH_SIZE", 2)
    automated.rule(trigger={"event": "order"})
    automated.happens(*["order"] * 5)
    automated.happens("viewed")
    numbers = []
    for _ in range(4):
        numbers.append(automated.fire())
        automated.project()
    assert sum(numbers) == len(automated.fired()) == 5


def test_without_the_digests_they_would_fire_twice(automated: Automated, monkeypatch) -> None:
    automated.rule(trigger={"event": "order"})
    automated.happens("order")
    monkeypatch.setattr(
        fired, "insert_new", lambda _connection, _workspace, digests: frozenset(digests)
    )
    assert [
        it.fire_due(automated.bench.workspace) for it in (automated.firing, automated.another())
    ] == [1, 1]
    assert len(automated.fired()) == 2


def test_whenever_a_firer_dies_each_trigger_fires_once(automated: Automated) -> None:
    automated.rule(trigger={"event": "order"})
    command = [sys.executable, "-m", "tests.integration.dying_firer"]
    command += [automated.bench.dsn, f"{automated.bench.workspace}"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        number = 0
        for at in count(1):
            ends = []
            for when in ("before", "after"):
                automated.happens("order", "order")
                number += 2
                print(when, at, file=process.stdin, flush=True)
                said = process.stdout.readline().split()
                if said[0] != "ended":
                    said = process.stdout.readline().split()
                ends.append(int(said[1]))
                automated.fire()
                automated.project()
                causes = Counter(it.cause for it in automated.fired())
                assert (len(causes), set(causes.values())) == (number, {1})
                assert len(automated.deliveries()) == 2 * number
            if set(ends) == {0}:
                break
            assert set(ends) <= {DIED, 0}
        assert at > 6
        process.stdin.close()


def test_a_delay_passes_on_the_ledgers_clock(automated: Automated) -> None:
    automated.rule(trigger={"event": "order"}, delay="24h")
    automated.happens("order")
    assert automated.triggers() == [("waiting", "delay")]
    automated.later(timedelta(hours=23, minutes=59))
    assert (automated.fire(), automated.triggers()) == (0, [("waiting", "delay")])
    automated.later(timedelta(minutes=1))
    assert (automated.fire(), automated.triggers()) == (1, [("fired", "delayed")])


@pytest.mark.parametrize("comes", [True, False])
def test_a_wait_has_two_ends(automated: Automated, comes: bool) -> None:
    wait = {"event": "paid", "match": "properties.id", "timeout": "2h"}
    ends = {"then": [{"add_tag": {"tag": "t"}}], "else": [{"add_tag": {"tag": "e"}}]}
    automated.rule(trigger={"event": "order"}, wait=wait | ends, actions=None)
    automated.happens("order", properties={"id": 7})
    automated.later(timedelta(hours=1))
    automated.happens("paid", properties={"id": "7"})
    assert automated.triggers() == [("waiting", "event")]
    if comes:
        automated.happens("paid", properties={"id": 7})
    automated.later(timedelta(hours=2))
    assert automated.triggers() == [("fired", "then" if comes else "else")]
    assert automated.fire() == 1
    [row] = automated.deliveries()
    assert json.loads(row[3]) == {"add_tag": {"tag": "t" if comes else "e"}}


def test_what_is_older_than_72_hours_when_it_is_recorded_sets_nothing_off(
    automated: Automated,
) -> None:
    automated.rule(trigger={"event": "order"})
    now = automated.bench.ledger.clock(automated.bench.workspace).recorded_at
    for hours in (73, 71):
        automated.happens("order", occurred_at=now - timedelta(hours=hours))
    assert automated.triggers() == [("suppressed", "too_old"), ("fired", "at_once")]
    assert automated.fire() == 1


def test_events_that_arrive_by_a_merge_set_nothing_off(automated: Automated) -> None:
    automated.rule(trigger={"event": "order"}, audience={"identifier": "user_id", "present": True})
    now = automated.bench.ledger.clock(automated.bench.workspace).recorded_at
    when = {"occurred_at": now, "received_at": now}
    automated.bench.record(tracked("order", anonymous("x"), **when))
    automated.bench.record(tracked("seen", user("ann"), anonymous("x"), **when))
    automated.project()
    assert automated.triggers() == [("suppressed", "audience")]
    assert automated.fire() == 0


def test_a_rebuild_fires_nothing_and_is_the_live_one(automated: Automated) -> None:
    automated.rule(trigger={"event": "order"})
    automated.happens("order", "order")
    automated.fire()
    automated.project()
    before = automated.bench.sql(f"SELECT * FROM {rule_run} ORDER BY cause")
    automated.rebuild()
    assert automated.bench.sql(f"SELECT * FROM {rule_run} ORDER BY cause") == before
    assert automated.another().fire_due(automated.bench.workspace) == 0
    assert len(automated.fired()) == 2


def found_late(automated: Automated) -> int:
    """Have a rebuild find a trigger that was not found when its time was, and fire what fires."""
    automated.rule(trigger={"event": "order"})
    automated.happens("order")
    automated.bench.sql(f"DELETE FROM {rule_run}")
    automated.later(timedelta(minutes=1))
    automated.happens("viewed")
    assert automated.fire() == 0
    automated.rebuild()
    assert automated.triggers() == [("fired", "at_once")]
    return automated.another().fire_due(automated.bench.workspace)


def test_what_a_rebuild_finds_too_late_never_fires(automated: Automated) -> None:
    assert found_late(automated) == 0
    assert automated.fired() == []


def test_without_the_mark_it_would(automated: Automated, monkeypatch) -> None:
    monkeypatch.setattr(fired, "watermark", lambda *_: 0)
    assert found_late(automated) == 1
