"""The judge of every fault test: what clients were told, held against what the ledger has.

Clients note each message before they send it and again when they know what became of it: ``ok`` (it was
acknowledged), ``fail`` (it was refused) or ``info`` (a timeout, a reset or a 5xx: nobody knows).  At the
end every ``ok`` is there exactly once with the same bytes, every ``fail`` is absent, every ``info`` is
absent or there once, and the ledger itself is whole.
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
    """One message of one client, and the last that is known of it."""

    client: str
    turn: int
    """Which of the client's requests, one after the other, it was first part of."""

    digest: bytes
    outcome: Outcome = "info"


class History:
    """What all clients did; each may write from a thread of its own."""

    def __init__(self) -> None:
        self.sent: dict[str, Sent] = {}
        self._lock = threading.Lock()

    def invoke(self, client: str, turn: int, messages: Iterable[tuple[str, bytes]]) -> None:
        """Note messages, by id and bytes, before they go out."""
        with self._lock:
            for message_id, body in messages:
                assert message_id not in self.sent, "ids of different messages differ"
                self.sent[message_id] = Sent(client, turn, sha256(body).digest())

    def learn(self, message_ids: Iterable[str], outcome: Outcome) -> None:
        """Note what became of them.  What was acknowledged once stays acknowledged."""
        with self._lock:
            for message_id in message_ids:
                if self.sent[message_id].outcome != "ok":
                    self.sent[message_id].outcome = outcome

    def count(self, outcome: Outcome) -> int:
        with self._lock:
            return sum(it.outcome == outcome for it in self.sent.values())


@dataclass
class Report:
    """What was found; every list of it is empty when all is well."""

    acknowledged: int = 0
    unknown: int = 0
    events: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)
    """Messages that nobody sent, or that were refused and are there all the same."""

    out_of_order: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """What is wrong with the ledger, whatever was sent."""

    def problems(self) -> Iterator[str]:
        for name in ("lost", "doubled", "changed", "unasked", "out_of_order", "broken"):
            found = getattr(self, name)
            if found:
                yield f"{len(found)} {name.replace('_', ' ')}, such as {found[0]}"

    @property
    def sentence(self) -> str:
        """The figures, with what they prove: none in n trials bounds the rate by 3/n at 95 %."""
        bound = 3 / self.acknowledged if self.acknowledged else 1.0
        return (
            f"{len(self.lost)} of {self.acknowledged:,} acknowledged lost (at 95 %: fewer than {bound:.2g} of them),"
            f" {len(self.doubled)} doubled, {len(self.changed)} changed, {len(self.broken)} breaks in"
            f" {self.events:,} events; {self.unknown:,} of unknown fate"
        )


@dataclass
class Row:
    """One event of the ledger with everything that the checks look at."""

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
    """Hold what the clients were told against what is in the database."""
    rows = list(_rows(dsn, workspace))
    report = Report(
        acknowledged=history.count("ok"), unknown=history.count("info"), events=len(rows)
    )
    report.broken += _broken(rows, workspace)
    found = _messages(rows)
    report.broken += _bookkeeping(dsn, workspace, rows, len(found))
    _compare(report, history, found)
    return report


def _rows(dsn: str, workspace: int) -> Iterator[Row]:
    with psycopg.connect(dsn) as connection, connection.cursor("rows", binary=True) as cursor:
        cursor.execute(_ROWS, (workspace,))
        for position, stream, version, recorded_at, *rest in cursor:
            yield Row(position, stream.bytes, version, to_micros(recorded_at), *rest)


def _messages(rows: Iterable[Row]) -> list[tuple[int, str, bytes]]:
    """Position, message id and bytes of each message; links are the ledger's own."""
    found = []
    for row in rows:
        event = decode_event(UUID(bytes=row.stream), row.version, row.topic, row.state)
        if isinstance(event, MessageEvent):
            found.append((row.position, event.message_id, event.raw or event.payload))
    return found


def _broken(rows: list[Row], workspace: int) -> Iterator[str]:
    """Positions 1..n, versions 1..n in each stream, time that never goes back, true evidence."""
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
    """The tables beside the events agree with them."""
    versions: Counter[bytes] = Counter(row.stream for row in rows)
    with psycopg.connect(dsn) as connection:

        def one(sql: str) -> int:
            found = connection.execute(sql, (workspace,)).fetchone()
            return int(found[0]) if found else 0

        head = one("SELECT last_position FROM ledger.ledger_head WHERE workspace = %s")
        seen = one("SELECT count(*) FROM ledger.message_seen WHERE workspace = %s")
        streams = {
            stream.bytes: version
            for stream, version in connection.execute(
                "SELECT stream_id, version FROM ledger.stream_head WHERE stream_id = ANY (%s)",
                ([UUID(bytes=stream) for stream in versions],),
            )
        }
    if head != len(rows):
        yield f"the head says {head}, there are {len(rows)} events"
    if seen != messages:
        yield f"{seen} messages are remembered as seen, {messages} are recorded"
    if streams != versions:
        yield "the heads of streams are not those of their events"


def _compare(report: Report, history: History, found: list[tuple[int, str, bytes]]) -> None:
    places: defaultdict[str, list[tuple[int, bytes]]] = defaultdict(list)
    for position, message_id, body in found:
        places[message_id].append((position, sha256(body).digest()))
    turns: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for message_id, sent in history.sent.items():
        there = places.pop(message_id, [])
        if not there and sent.outcome == "ok":
            report.lost.append(message_id)
        if there and sent.outcome == "fail":
            report.unasked.append(message_id)
        if len(there) > 1:
            report.doubled.append(message_id)
        if any(digest != sent.digest for _, digest in there):
            report.changed.append(message_id)
        if there and sent.outcome == "ok":
            turns[sent.client].append((there[0][0], sent.turn))
    report.unasked += places
    for client, taken in turns.items():
        taken.sort()
        order = [turn for _, turn in taken]
        if order != sorted(order):
            report.out_of_order.append(client)
