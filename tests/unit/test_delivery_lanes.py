"""How much of what is due one endpoint gets handed out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from application.deliveries.endpoint_queues import (
    FAST_RESPONSE_SECONDS,
    MIN_REMAINING_LEASE,
    PREFETCH_FACTOR,
    EndpointQueue,
)
from application.ledger.tables.endpoints import PARK_AFTER_FAILURES
from application.ledger.tables.leases import LEASE_DURATION


def lane(**more) -> EndpointQueue:
    return EndpointQueue(False, datetime.now(UTC), **more)


def test_a_quick_endpoint_gets_more_than_is_sent_at_once():
    assert lane().capacity == lane().concurrency
    assert lane(is_fast=True).capacity == lane().concurrency * PREFETCH_FACTOR
    assert lane(is_fast=True, in_flight=100).capacity == lane().concurrency * PREFETCH_FACTOR - 100


def test_one_that_fails_gets_no_more_ahead():
    assert lane(is_fast=True, failures=PARK_AFTER_FAILURES).capacity == lane().concurrency


def test_what_was_handed_out_ahead_is_sent_within_its_lease():
    assert (
        timedelta(seconds=PREFETCH_FACTOR * FAST_RESPONSE_SECONDS)
        < LEASE_DURATION - MIN_REMAINING_LEASE
    )
