"""The checker of all fault tests: compares what clients were answered with the ledger.

Clients record each message before they send it, and its outcome: ``ok`` (acknowledged), ``fail`` (refused) or
``info`` (unknown: a timeout, a reset or a 5xx).  At the end every ``ok`` is in the ledger exactly once with
the same bytes, every ``fail`` is absent, every ``info`` is absent or there once, and the ledger is consistent.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal
from uuid import UUID

import psycopg

from application.ledger.append.evidence import commitment_of, leaf_hash
from application.ledger.mapper import decode_event
from domain.core.time import to_micros
from domain.events.events import MessageEvent

Outcome = Literal["ok", "fail", "info"]


@dataclass
class Sent:
    """One message of one client, and its last known outcome."""

    client: str
    turn: int
    """Number of the client's request that first contained it."""

    digest: bytes
    outcome: Outcome = "info"


class History:
    """The messages of all clients, which may run in threads."""

    def __init__(self) -> None:
        self.sent: dict[str, Sent] = {}
        self._lock = threading.Lock()

    def invoke(self, client: str, turn: int, messages: Iterable[tuple[str, bytes]]) -> None:
        """Records messages, by id and bytes, before they are sent."""
        with self._lock:
            for message_id, body in messages:
                assert message_id not in self.sent, "ids of different messages differ"
                self.sent[message_id] = Sent(client, turn, sha256(body).digest())

    def learn(self, message_ids: Iterable[str], outcome: Outcome) -> None:
        """Records their outcome.  An acknowledged message stays acknowledged."""
        with self._lock:
            for message_id in message_ids:
                if self.sent[message_id].outcome != "ok":
                    self.sent[message_id].outcome = outcome

    def count(self, outcome: Outcome) -> int:
        with self._lock:
            return sum(message.outcome == outcome for message in self.sent.values())


@dataclass
class Report:
    """Result of a check; without problems every list is empty."""

    acknowledged: int = 0
    unknown: int = 0
    events: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    """Messages that were not sent, or that were refused, and are in the ledger."""

    out_of_order: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Inconsistencies of the ledger itself."""

    def problems(self) -> Iterator[str]:
        for name in ("lost", "duplicated", "changed", "unexpected", "out_of_order", "broken"):
            problems = getattr(self, name)
            if problems:
                yield f"{len(problems)} {name.replace('_', ' ')}, such as {problems[0]}"

    @property
    def sentence(self) -> str:
        """The figures, with their bound: no loss in n trials means a rate below 3/n at 95 %."""
        bound = 3 / self.acknowledged if self.acknowledged else 1.0
        return (
            f"{len(self.lost)} of {self.acknowledged:,} acknowledged lost (at 95 %: fewer than {bound:.2g} of them),"
            f" {len(self.duplicated)} duplicated, {len(self.changed)} changed, {len(self.broken)} breaks in"
            f" {self.events:,} events; {self.unknown:,} with unknown outcome"
        )


@dataclass
class Row:
    """One event of the ledger, with everything that the checks read."""

    position: int
    stream: bytes
    version: int
    recorded_us: int
    topic: str
    salt: bytes
    commitment: bytes
    leaf: bytes
    state: bytes


_ROWS = """
SELECT position, originator_id, originator_version, recorded_at, topic, salt, commitment, leaf, state
FROM ledger.event WHERE workspace = %s ORDER BY position
"""


def check(dsn: str, workspace: int, history: History) -> Report:
    """Compares what the clients were answered with what is in the database."""
    rows = list(_rows(dsn, workspace))
    report = Report(
        acknowledged=history.count("ok"), unknown=history.count("info"), events=len(rows)
    )
    report.broken += _broken(rows, workspace)
    messages = _messages(rows)
    report.broken += _bookkeeping(dsn, workspace, rows, len(messages))
    _compare(report, history, messages)
    return report


def _rows(dsn: str, workspace: int) -> Iterator[Row]:
    with psycopg.connect(dsn) as connection, connection.cursor("rows", binary=True) as cursor:
        cursor.execute(_ROWS, (workspace,))
        for position, stream, version, recorded_at, *rest in cursor:
            yield Row(position, stream.bytes, version, to_micros(recorded_at), *rest)


def _messages(rows: Iterable[Row]) -> list[tuple[int, str, bytes]]:
    """Returns position, message id and bytes of each message; clients send no other events."""
    messages = []
    for row in rows:
        event = decode_event(UUID(bytes=row.stream), row.version, row.topic, row.state)
        if isinstance(event, MessageEvent):
            messages.append((row.position, event.message_id, event.raw or event.payload))
    return messages


def _broken(rows: list[Row], workspace: int) -> Iterator[str]:
    """Checks dense positions and versions, times that never decrease, and the evidence."""
    heads: Counter[bytes] = Counter()
    recorded = 0
    for expected, row in enumerate(rows, 1):
        if row.position != expected:
            yield f"position {row.position} where {expected} belongs"
            return
        heads[row.stream] += 1
        if row.version != heads[row.stream]:
            yield f"version {row.version} at position {expected}, {heads[row.stream]} belongs there"
        if row.recorded_us < recorded:
            yield f"time goes back at position {expected}"
        recorded = row.recorded_us
        if row.commitment != commitment_of(row.salt, row.state):
            yield f"the commitment at position {expected} is not that of its state"
        topic = row.topic.encode()
        header = (workspace, row.stream, row.version, row.recorded_us, topic, row.commitment)
        if row.leaf != leaf_hash(*header):
            yield f"the leaf at position {expected} is not that of its header"


def _bookkeeping(dsn: str, workspace: int, rows: list[Row], messages: int) -> Iterator[str]:
    """Checks that the tables next to the events agree with them."""
    versions: Counter[bytes] = Counter(row.stream for row in rows)
    with psycopg.connect(dsn) as connection:

        def number(sql: str) -> int:
            row = connection.execute(sql, (workspace,)).fetchone()
            return int(row[0]) if row else 0

        head = number("SELECT last_position FROM ledger.ledger_head WHERE workspace = %s")
        seen = number("SELECT count(*) FROM ledger.message_seen WHERE workspace = %s")
        streams = {
            stream.bytes: version
            for stream, version in connection.execute(
                "SELECT stream_id, version FROM ledger.stream_head WHERE stream_id = ANY (%s)",
                ([UUID(bytes=stream) for stream in versions],),
            )
        }
    if head != len(rows):
        yield f"the head is at {head}, but there are {len(rows)} events"
    if seen != messages:
        yield f"{seen} messages are in message_seen, {messages} are recorded"
    if streams != versions:
        yield "stream_head does not agree with the versions of the events"


def _compare(report: Report, history: History, messages: list[tuple[int, str, bytes]]) -> None:
    recorded: defaultdict[str, list[tuple[int, bytes]]] = defaultdict(list)
    for position, message_id, body in messages:
        recorded[message_id].append((position, sha256(body).digest()))
    turns: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for message_id, sent in history.sent.items():
        copies = recorded.pop(message_id, [])
        if not copies and sent.outcome == "ok":
            report.lost.append(message_id)
        if copies and sent.outcome == "fail":
            report.unexpected.append(message_id)
        if len(copies) > 1:
            report.duplicated.append(message_id)
        if any(digest != sent.digest for _, digest in copies):
            report.changed.append(message_id)
        if copies and sent.outcome == "ok":
            turns[sent.client].append((copies[0][0], sent.turn))
    report.unexpected += recorded
    for client, turns_by_position in turns.items():
        turns_by_position.sort()
        order = [turn for _, turn in turns_by_position]
        if order != sorted(order):
            report.out_of_order.append(client)
