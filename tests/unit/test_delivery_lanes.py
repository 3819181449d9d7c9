"""How much of what is due one endpoint gets handed out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from application.deliveries.endpoint_queues import AHEAD, QUICK_SECONDS, SPARE, Lane
from application.ledger.tables.endpoints import PARKED_AT
from application.ledger.tables.leases import LEASE


def lane(**more) -> Lane:
    return Lane(False, datetime.now(UTC), **more)


def test_a_quick_endpoint_gets_more_than_is_sent_at_once():
    assert lane().room == lane().at_once
    assert lane(is_quick=True).room == lane().at_once * AHEAD
    assert lane(is_quick=True, held=100).room == lane().at_once * AHEAD - 100


def test_one_that_fails_gets_no_more_ahead():
    assert lane(is_quick=True, failures=PARKED_AT).room == lane().at_once


def test_what_was_handed_out_ahead_is_sent_within_its_lease():
    assert timedelta(seconds=AHEAD * QUICK_SECONDS) < LEASE - SPARE
