"""Firing of rules: each due firing is recorded once, despite crashes, never by a rebuild."""

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
from application.automation.rules import RuleService
from application.definitions.store import CommandContext
from application.deliveries.service import DeliveryService
from application.ledger.tables import fired
from domain.core.time import to_micros
from domain.definitions.definition import DefinitionVersion
from domain.events.rule_events import TriggerFired
from interfaces.bootstrap import create_projection_engine
from interfaces.trigger_source import create_firing_worker
from projections import PROJECTIONS, segments
from projections.rebuild.service import RebuildService
from projections.runtime.projector import Projector
from projections.segments.tables import rule_run
from tests import recorded_rule
from tests.builders import anonymous, tracked, user
from tests.fix_ledger import Bench
from tests.integration.crashing_firing_worker import DIED

CONTEXT = CommandContext("key-1")
TAGS = [{"add_tag": {"tag": "buyer"}}, {"webhook": {"endpoint": "crm"}}]


class Automated:
    """A ledger, its read models, and a firing worker."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.engine = create_projection_engine(bench.dsn)
        self.projector = Projector(bench.ledger, self.engine, PROJECTIONS)
        self.projector.prepare()
        self.worker = self.another_worker()

    def another_worker(self) -> FiringWorker:
        return create_firing_worker(self.bench.ledger, self.engine)

    def rule(self, **plan: Any) -> None:
        """Defines and enables rule `r`."""
        fields = {"actions": TAGS} | plan
        document = {name: value for name, value in fields.items() if value is not None}
        definition = DefinitionVersion("R", "", json.dumps(document).encode())
        rules = RuleService(self.bench.ledger)
        rules.define(self.bench.workspace, "r", definition, CONTEXT)
        rules.set_enabled(self.bench.workspace, "r", CONTEXT, enabled=True)
        self.project()

    def record(self, *names: str, **fields: Any) -> None:
        """Records events of one profile, which happen now, and applies them."""
        now = self.bench.ledger.clock(self.bench.workspace).recorded_at
        fields = {"occurred_at": now, "received_at": now} | fields
        self.bench.record(*(tracked(name, user("ann"), **fields) for name in names))
        self.project()

    def project(self) -> None:
        self.projector.catch_up(self.bench.workspace)

    def advance_clock(self, by: timedelta) -> None:
        """Moves the ledger's clock forward, and applies the timers that become due."""
        self.bench.sql("UPDATE ledger.ledger_head SET recorded_at = recorded_at + %s", by)
        clock = self.bench.ledger.clock(self.bench.workspace).recorded_at
        with self.engine.begin() as tx:
            segments.sweep(tx, self.bench.workspace, to_micros(clock))

    def fire(self) -> int:
        return self.worker.fire_due(self.bench.workspace)

    def runs(self) -> list[tuple[str, str]]:
        """Returns outcome and reason of every run."""
        rows = self.bench.sql(
            f"SELECT outcome, reason FROM {rule_run} ORDER BY triggered_at, cause"
        )
        return [(outcome, reason) for outcome, reason in rows]

    def fired(self) -> list[TriggerFired]:
        events = (recorded.event for recorded in self.bench.all())
        return [event for event in events if isinstance(event, TriggerFired)]

    def deliveries(self) -> list[Any]:
        return self.bench.sql("SELECT rule, version, cause, action, context FROM ledger.delivery")

    def rebuild(self) -> None:
        rebuilds = RebuildService(self.projector)
        rebuilds.request(["segments"], "rebuild")
        assert rebuilds.run_builds("segments")


@pytest.fixture
def automated(bench: Bench) -> Iterator[Automated]:
    automated = Automated(bench)
    yield automated
    automated.engine.dispose()


def test_a_firing_is_recorded_with_its_deliveries(automated: Automated) -> None:
    automated.rule(trigger={"event": "order"})
    automated.record("viewed", "order", properties={"total": 3})
    assert automated.fire() == 1
    [event] = automated.fired()
    assert (event.rule, event.rule_version, event.branch) == ("r", 1, "at_once")
    rows = automated.deliveries()
    assert sorted((json.loads(row[3]) for row in rows), key=repr) == TAGS
    context = json.loads(rows[0][4])
    assert context["event"] == context["client"]["eventContext"] == {"total": 3}
    assert (context["trigger"]["subject"], context["depth"]) == ("order", 0)
    automated.project()
    assert automated.fire() == 0
    [[position]] = automated.bench.sql(f"SELECT fired_position FROM {rule_run}")
    assert position == len(automated.bench.all())


def test_concurrent_workers_record_each_firing_once(automated: Automated) -> None:
    automated.rule(trigger={"event": "order"})
    automated.record(*["order"] * 40)
    workers = [automated.another_worker() for _ in range(4)]
    with ThreadPoolExecutor(len(workers)) as pool:
        numbers = list(pool.map(lambda w: w.fire_due(automated.bench.workspace), workers))
    assert sum(numbers) == 40
    assert len({event.cause for event in automated.fired()}) == len(automated.fired()) == 40
    assert len(automated.deliveries()) == 80


def test_many_due_firings_are_recorded_in_batches(automated: Automated, monkeypatch) -> None:
    monkeypatch.setattr(firing_module, "BATCH_SIZE", 2)
    automated.rule(trigger={"event": "order"})
    automated.record(*["order"] * 5)
    automated.record("viewed")
    numbers = []
    for _ in range(4):
        numbers.append(automated.fire())
        automated.project()
    assert sum(numbers) == len(automated.fired()) == 5


def test_without_the_digests_rules_would_fire_twice(automated: Automated, monkeypatch) -> None:
    automated.rule(trigger={"event": "order"})
    automated.record("order")
    monkeypatch.setattr(
        fired, "insert_new", lambda _connection, _workspace, digests: frozenset(digests)
    )
    workers = (automated.worker, automated.another_worker())
    assert [worker.fire_due(automated.bench.workspace) for worker in workers] == [1, 1]
    assert len(automated.fired()) == 2


@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.nightly)])
def test_each_rule_fires_once_at_whatever_round_trip_a_worker_dies(
    automated: Automated, step: int
) -> None:
    automated.rule(trigger={"event": "order"})
    command = [sys.executable, "-m", "tests.integration.crashing_firing_worker"]
    command += [automated.bench.dsn, f"{automated.bench.workspace}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert None not in {process.stdin, process.stdout}
        number = 0
        for round_trip in count(1, step):
            exit_codes = []
            for when in ("before", "after"):
                automated.record("order", "order")
                number += 2
                print(when, round_trip, file=process.stdin, flush=True)
                line = process.stdout.readline().split()
                if line[0] != "ended":
                    line = process.stdout.readline().split()
                exit_codes.append(int(line[1]))
                automated.fire()
                automated.project()
                causes = Counter(event.cause for event in automated.fired())
                assert (len(causes), set(causes.values())) == (number, {1})
                assert len(automated.deliveries()) == 2 * number
            if set(exit_codes) == {0}:
                break
            assert set(exit_codes) <= {DIED, 0}
        assert round_trip > 6
        process.stdin.close()


def test_a_delay_runs_on_the_ledgers_clock(automated: Automated) -> None:
    automated.rule(trigger={"event": "order"}, delay="24h")
    automated.record("order")
    assert automated.runs() == [("waiting", "delay")]
    automated.advance_clock(timedelta(hours=23, minutes=59))
    assert (automated.fire(), automated.runs()) == (0, [("waiting", "delay")])
    automated.advance_clock(timedelta(minutes=1))
    assert (automated.fire(), automated.runs()) == (1, [("fired", "delayed")])


@pytest.mark.parametrize("arrives", [True, False])
def test_a_wait_ends_with_the_event_or_the_timeout(automated: Automated, arrives: bool) -> None:
    wait = {"event": "paid", "match": "properties.id", "timeout": "2h"}
    branches = {"then": [{"add_tag": {"tag": "t"}}], "else": [{"add_tag": {"tag": "e"}}]}
    automated.rule(trigger={"event": "order"}, wait=wait | branches, actions=None)
    automated.record("order", properties={"id": 7})
    automated.advance_clock(timedelta(hours=1))
    automated.record("paid", properties={"id": "7"})
    assert automated.runs() == [("waiting", "event")]
    if arrives:
        automated.record("paid", properties={"id": 7})
    automated.advance_clock(timedelta(hours=2))
    assert automated.runs() == [("fired", "then" if arrives else "else")]
    assert automated.fire() == 1
    [row] = automated.deliveries()
    assert json.loads(row[3]) == {"add_tag": {"tag": "t" if arrives else "e"}}


def test_an_event_older_than_72_hours_when_recorded_triggers_nothing(
    automated: Automated,
) -> None:
    automated.rule(trigger={"event": "order"})
    now = automated.bench.ledger.clock(automated.bench.workspace).recorded_at
    for hours in (73, 71):
        automated.record("order", occurred_at=now - timedelta(hours=hours))
    assert automated.runs() == [("suppressed", "too_old"), ("fired", "at_once")]
    assert automated.fire() == 1


def test_events_that_a_merge_adds_trigger_nothing(automated: Automated) -> None:
    automated.rule(trigger={"event": "order"}, audience={"identifier": "user_id", "present": True})
    now = automated.bench.ledger.clock(automated.bench.workspace).recorded_at
    when = {"occurred_at": now, "received_at": now}
    automated.bench.record(tracked("order", anonymous("x"), **when))
    automated.bench.record(tracked("seen", user("ann"), anonymous("x"), **when))
    automated.project()
    assert automated.runs() == [("suppressed", "audience")]
    assert automated.fire() == 0


def test_a_rebuild_fires_nothing_and_equals_the_live_read_model(automated: Automated) -> None:
    automated.rule(trigger={"event": "order"})
    automated.record("order", "order")
    automated.fire()
    automated.project()
    before = automated.bench.sql(f"SELECT * FROM {rule_run} ORDER BY cause")
    automated.rebuild()
    assert automated.bench.sql(f"SELECT * FROM {rule_run} ORDER BY cause") == before
    assert automated.another_worker().fire_due(automated.bench.workspace) == 0
    assert len(automated.fired()) == 2


def test_a_recorded_rule_with_an_unknown_action_fires_and_is_rebuilt(automated: Automated) -> None:
    bench = automated.bench
    recorded_rule.record_rule(bench.ledger, bench.workspace)
    automated.record("order")
    assert automated.fire() == 1
    service = DeliveryService(bench.store, bench.ledger, key=bytes(32))
    service.worker.run_until_idle()
    rows = bench.sql("SELECT action, state, attempts, reason FROM ledger.delivery")
    outcomes = {next(iter(json.loads(row[0]))): (json.loads(row[0]), *row[1:]) for row in rows}
    assert outcomes["add_tag"] == (recorded_rule.KNOWN_ACTION, "delivered", 1, None)
    *outcome, reason = outcomes["send_sms"]
    assert outcome == [recorded_rule.UNKNOWN_ACTION, "failed", 1]
    assert recorded_rule.WARNINGS[0]["message"] in reason
    service.worker.run_until_idle()
    assert bench.sql("SELECT max(attempts) FROM ledger.delivery") == [(1,)]
    automated.project()
    before = bench.sql(f"SELECT * FROM {rule_run}")
    automated.rebuild()
    assert bench.sql(f"SELECT * FROM {rule_run}") == before
    assert automated.runs() == [("fired", "at_once")]
    assert automated.another_worker().fire_due(bench.workspace) == 0


def fire_after_a_rebuild(automated: Automated) -> int:
    """Lets a rebuild find a firing that was missed when it was due; returns how many fire then."""
    automated.rule(trigger={"event": "order"})
    automated.record("order")
    automated.bench.sql(f"DELETE FROM {rule_run}")
    automated.advance_clock(timedelta(minutes=1))
    automated.record("viewed")
    assert automated.fire() == 0
    automated.rebuild()
    assert automated.runs() == [("fired", "at_once")]
    return automated.another_worker().fire_due(automated.bench.workspace)


def test_a_firing_that_only_a_rebuild_finds_is_never_recorded(automated: Automated) -> None:
    assert fire_after_a_rebuild(automated) == 0
    assert automated.fired() == []


def test_without_the_watermark_it_would_be_recorded(automated: Automated, monkeypatch) -> None:
    monkeypatch.setattr(fired, "watermark", lambda *_: 0)
    assert fire_after_a_rebuild(automated) == 1
