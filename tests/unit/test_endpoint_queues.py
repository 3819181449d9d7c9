"""Capacity of an endpoint queue: how many deliveries are leased ahead."""

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


def queue(**fields) -> EndpointQueue:
    return EndpointQueue(False, datetime.now(UTC), **fields)


def test_a_fast_endpoint_gets_more_than_its_concurrency():
    assert queue().capacity == queue().concurrency
    assert queue(is_fast=True).capacity == queue().concurrency * PREFETCH_FACTOR
    assert (
        queue(is_fast=True, in_flight=100).capacity == queue().concurrency * PREFETCH_FACTOR - 100
    )


def test_a_parked_endpoint_gets_nothing_ahead():
    assert queue(is_fast=True, failures=PARK_AFTER_FAILURES).capacity == queue().concurrency


def test_deliveries_leased_ahead_are_sent_within_their_lease():
    assert (
        timedelta(seconds=PREFETCH_FACTOR * FAST_RESPONSE_SECONDS)
        < LEASE_DURATION - MIN_REMAINING_LEASE
    )
