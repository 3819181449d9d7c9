"""The fixture of the delivery tests."""

from __future__ import annotations

import pytest

from application.deliveries.service import DeliveryService
from tests.fix_ledger import Bench
from tests.integration.deliveries.outbound import LOCAL_NETWORKS, Clock, Outbound


@pytest.fixture
def outbound(bench: Bench) -> Outbound:
    clock = Clock()
    deliveries = DeliveryService(
        bench.store, bench.ledger, key=bytes(32), allowed=LOCAL_NETWORKS, now=clock
    )
    return Outbound(bench, clock, deliveries)
