"""Firing latency, and the cost of waiting runs to those that are due."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from sqlalchemy import Engine

from application.automation.rules import RuleService
from application.definitions.store import CommandContext
from application.ledger.ledger import Ledger
from domain.definitions.definition import DefinitionVersion
from domain.events.events import MessageEvent
from domain.events.rule_events import TriggerFired
from interfaces.trigger_source import create_firing_worker
from projections import PROJECTIONS
from projections.runtime.projector import Projector
from projections.segments.tables import rule_run
from tests.benchmarks.database import Database
from tests.benchmarks.load import Load, send
from tests.benchmarks.paced import Pace, Paced
from tests.benchmarks.process import Worker
from tests.benchmarks.projecting import open_ledger
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.server import serving_as_compose
from tests.benchmarks.times import percentile
from tests.benchmarks.webhooks import SETTINGS, create_endpoints, receiver, wait_until_delivered
from tests.builders import tracked, user

pytestmark = pytest.mark.benchmark

WAITING = scaled(1_000_000, least=1_000)
FIRED = scaled(4_000, least=200)
BAR_MS = 500
ENDPOINT = "crm"
WARMING, SECONDS = 1_000, scaled(20, least=2)
EVENTS_A_SECOND = 500

_WAIT = f"""
INSERT INTO {rule_run}
SELECT %s, 'waiting', 1, n::text, md5('s' || n)::uuid, md5('s' || n)::uuid, 0, n, 'waiting', 'delay', 0, n,
    extract(epoch FROM now() + interval '1 day')::bigint * 1000000 + n, 0, %s, NULL
FROM generate_series(1, %s) AS n
"""


def enable(ledger: Ledger, workspace: int, event: object) -> None:
    definition = {"trigger": {"event": event}, "actions": [{"webhook": {"endpoint": ENDPOINT}}]}
    rules, context = RuleService(ledger), CommandContext("bench")
    rules.define(
        workspace, "r", DefinitionVersion("R", "", msgspec.json.encode(definition)), context
    )
    rules.set_enabled(workspace, "r", context, enabled=True)


def test_waiting_runs_do_not_delay_due_ones(fresh, report, say):
    pairs = []
    with (
        open_ledger(alone := fresh()) as one,
        open_ledger(beside := fresh()) as other,
    ):
        for database, (ledger, engine) in ((alone, one), (beside, other)):
            enable(ledger, database.workspace, "order")
            projector = Projector(ledger, engine, PROJECTIONS)
            projector.prepare()
            projector.catch_up()
        context = msgspec.json.encode(
            {"kind": "event", "document": {"total": 12.5}} | {"x": "y" * 100}
        )
        beside.sql(_WAIT, beside.workspace, context, WAITING)
        beside.sql(f"ANALYZE {rule_run}")
        for number in range(-1, ROUNDS):  # the first only warms up
            seconds = fire(alone, *one), fire(beside, *other)
            say(
                f"firing round {number + 1}: {FIRED / seconds[1]:,.0f} triggers/s beside {WAITING:,} that"
                f" wait, {FIRED / seconds[0]:,.0f} alone"
            )
            pairs += [seconds[::-1]] if number >= 0 else []
    hold(
        report.rounds(
            "firing_beside_waiting",
            pairs,
            unit="s",
            against="the same with none waiting",
            at_most=1.2,
            note=f"{FIRED:,} decided and fired beside {WAITING:,}",
        )
    )


def fire(database: Database, ledger: Ledger, engine: Engine) -> float:
    """Records events that fire a rule; returns the seconds until all have fired."""
    now = datetime.now(UTC)
    messages = [
        tracked("order", user(f"u-{n % 500}"), occurred_at=now, received_at=now)
        for n in range(FIRED)
    ]
    ledger.record(database.workspace, messages).result(60)
    projector, firer, left = (
        Projector(ledger, engine, PROJECTIONS),
        create_firing_worker(ledger, engine),
        FIRED,
    )
    started = time.perf_counter()
    while left:
        projector.catch_up(database.workspace)
        left -= firer.fire_due(database.workspace)
    return time.perf_counter() - started


def test_a_webhook_arrives_within_half_a_second_of_its_event(fresh, report, say):
    database = fresh()
    with open_ledger(database) as (ledger, _):
        enable(ledger, database.workspace, {"matching": "*"})
    with receiver() as sink:
        create_endpoints(database, sink.answers, [ENDPOINT])
        with serving_as_compose(database.dsn, **SETTINGS) as server:
            send(Load(port=server.port, key=database.write_key, events=WARMING))
            wait_until_delivered(database, [ENDPOINT], WARMING)
            pace = Pace(
                port=server.port,
                write_key=database.write_key,
                read_key=database.read_key,
                seconds=SECONDS,
                per_batch=20,
                batches_a_second=EVENTS_A_SECOND // 20,
                poll_every=0,
            )
            began = datetime.now(UTC)
            with Worker("tests.benchmarks.paced", pace, Paced) as sender:
                paced = sender.go()
            wait_until_delivered(
                database, [ENDPOINT], WARMING + len(paced.acknowledged) * pace.per_batch
            )
        arrivals = sink.arrivals()
    with open_ledger(database) as (ledger, _):
        fired, webhook = since_recorded(ledger, database, began, arrivals)
    say(
        f"{paced.rate:,.0f} events/s, each fires: fired p50 {percentile(fired, 50):.0f} ms, p99"
        f" {percentile(fired, 99):.0f} ms; webhook received p50 {percentile(webhook, 50):.0f} ms, p99"
        f" {percentile(webhook, 99):.0f} ms, max {max(webhook):.0f} ms"
    )
    hold(
        report.rounds(
            "webhook",
            [(percentile(webhook, 99), BAR_MS)],
            unit="ms",
            against="the bar",
            at_most=1,
            note=f"p99 from recorded to received, at {paced.rate:,.0f} triggers/s;"
            f" p50 {percentile(webhook, 50):.0f} ms; fired p99 {percentile(fired, 99):.0f} ms",
        )
    )


def since_recorded(
    ledger: Ledger, database: Database, began: datetime, arrivals: Mapping[str, float]
) -> tuple[Sequence[float], Sequence[float]]:
    """Returns the milliseconds from each event's record to its firing, and to its webhook."""
    recorded, fired, after = {}, {}, 0
    while page := ledger.read(database.workspace, after, 10_000):
        for entry in page:
            if isinstance(entry.event, TriggerFired):
                fired[entry.event.cause] = entry.recorded_at
            elif entry.recorded_at >= began and isinstance(entry.event, MessageEvent):
                recorded[str(entry.position)] = entry.recorded_at
        after = page[-1].position
    delivery_ids = {
        cause: str(id_) for id_, cause in database.sql("SELECT id, cause FROM ledger.delivery")
    }
    return (
        [(fired[cause] - at).total_seconds() * 1_000 for cause, at in recorded.items()],
        [
            (arrivals[delivery_ids[cause]] - at.timestamp()) * 1_000
            for cause, at in recorded.items()
        ],
    )
