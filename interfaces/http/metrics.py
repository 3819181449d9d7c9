"""Metrics of `/metrics`.  Labels are few and fixed: never a name, an id or an address.

There is no workspace label either: a scrape must not reveal one tenant's volume to another.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

INGEST_REQUESTS = Counter(
    "foldline_ingest_requests", "Ingest requests answered.", ["dialect", "status"]
)
EVENTS_RECORDED = Counter("foldline_events_recorded", "Messages recorded for the first time.")
MESSAGES_DUPLICATE = Counter("foldline_messages_duplicate", "Duplicate messages.")
MESSAGES_REJECTED = Counter("foldline_messages_rejected", "Rejected messages; see /v1/rejected.")

FLUSH_MESSAGES = Histogram(
    "foldline_flush_messages",
    "Messages written by one transaction.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000),
)
FLUSH_SECONDS = Histogram(
    "foldline_flush_seconds",
    "Seconds from flush start to durable commit.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)

MESSAGES_WAITING = Gauge("foldline_messages_waiting", "Messages accepted but not yet durable.")
DATABASE_UP = Gauge("foldline_database_up", "1 if the database answered this scrape, else 0.")
LEDGER_EVENTS = Gauge("foldline_ledger_events", "Events in the ledgers of all workspaces.")
PROJECTION_EVENTS = Gauge(
    "foldline_projection_events", "Events projected, over all workspaces.", ["projection"]
)
PROJECTION_LAG = Gauge(
    "foldline_projection_lag", "Largest lag over workspaces, in events.", ["projection"]
)
LARGE_PROFILES = Gauge(
    "foldline_large_profiles", "Profiles with an implausible number of identifiers."
)


def observe_flush(messages: int, seconds: float) -> None:
    """Record one flush; passed to the ledger as ``on_flush``."""
    FLUSH_MESSAGES.observe(messages)
    FLUSH_SECONDS.observe(seconds)


def observe_ingest(
    dialect: str, status: int, *, recorded: int = 0, duplicates: int = 0, rejected: int = 0
) -> None:
    """Record one answered ingest request and the counts of its messages."""
    INGEST_REQUESTS.labels(dialect, str(status)).inc()
    EVENTS_RECORDED.inc(recorded)
    MESSAGES_DUPLICATE.inc(duplicates)
    MESSAGES_REJECTED.inc(rejected)
