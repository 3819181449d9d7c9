"""Convergence: the same messages in any order and repetition give the same read models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables.workspaces import Workspaces
from domain.core import lww_register
from domain.events.message import Message
from domain.identity import claims
from projections import PROJECTIONS
from projections.identity import fold
from projections.runtime.projector import Projector
from tests import examples
from tests.fix_postgres import Template, clone
from tests.integration.projections.given import Given, rows_of
from tests.integration.projections.history import recorded
from tests.properties.models import MOVES_WITH_ORDER, unsynced
from tests.strategies.histories import deliveries, histories

Converges = Callable[[Sequence[Message], Sequence[Message], int], None]


@pytest.fixture
def converges(database: str) -> Iterator[Converges]:
    """Checks that two deliveries, applied in batches of different sizes, give the same rows."""
    engine, workspaces = unsynced(database), count(1)
    models = Given(engine)

    def check(first: Sequence[Message], second: Sequence[Message], size: int) -> None:
        rows = []
        for delivery, batch_size in ((first, 4_000), (second, size)):
            workspace = next(workspaces)
            first_of_each: dict[str, Message] = {}
            for message in delivery:
                first_of_each.setdefault(message.message_id, message)
            models.feed.workspaces[workspace] = recorded([*first_of_each.values()])
            models.projector.catch_up(workspace, batch_size)
            rows.append(models.tables(workspace=workspace, without=MOVES_WITH_ORDER))
        assert rows[0] == rows[1]

    yield check
    engine.dispose()


class Foldline:
    """A ledger with all read models, on its own database."""

    def __init__(self, dsn: str) -> None:
        self.store = LedgerDatastore(dsn)
        self.workspaces = Workspaces(self.store)
        self.ledger = Ledger(self.store, self.workspaces)
        self.engine = unsynced(dsn)
        self.projector = Projector(self.ledger, self.engine, PROJECTIONS)
        self.projector.prepare()

    def workspace(self, secret: bytes) -> int:
        """Create a workspace whose digests equal those of any other with the same secret."""
        workspace = self.workspaces.create(f"of {secret!r}").id
        with self.engine.begin() as tx:
            update = "UPDATE ledger.workspace SET secret = %s WHERE id = %s"
            tx.exec_driver_sql(update, (secret, workspace))
        return workspace

    def rows(self, workspace: int, delivery: Sequence[Message], requests: int, batch: int):
        """Record a delivery in requests of that size, project it, and return all rows."""
        for start in range(0, len(delivery), requests):
            self.ledger.record(workspace, delivery[start : start + requests]).result(10)
        self.projector.catch_up(workspace, batch)
        return rows_of(self.engine, PROJECTIONS, workspace, MOVES_WITH_ORDER)

    def close(self) -> None:
        self.ledger.close()
        self.store.close()
        self.engine.dispose()


@contextmanager
def foldline(template: Template) -> Iterator[Foldline]:
    with clone(template) as dsn:
        instance = Foldline(dsn)
        try:
            yield instance
        finally:
            instance.close()


@pytest.mark.parametrize("max_claims", [claims.MAX_CLAIMS, 1])
def test_any_delivery_of_the_same_messages_gives_the_same_read_models(
    converges, monkeypatch, max_claims
):
    monkeypatch.setattr(claims, "MAX_CLAIMS", max_claims)

    @examples.on_one_database(0.3)
    @given(data=st.data(), history=histories, size=st.integers(1, 7))
    def check(data, history, size):
        converges(history, data.draw(deliveries(history)), size)

    check()


def test_it_does_so_through_the_real_ledger(template):
    """Which links are recorded depends on the order there; the resolution does not."""
    secrets = (b"%032d" % n for n in count())
    with foldline(template) as ordered, foldline(template) as shuffled:

        @examples.on_one_database(0.2)
        @given(data=st.data(), history=histories, size=st.integers(1, 7))
        def check(data, history, size):
            secret, delivery = next(secrets), data.draw(deliveries(history))
            expected = ordered.rows(ordered.workspace(secret), history, requests=100, batch=4_000)
            workspace = shuffled.workspace(secret)
            assert shuffled.rows(workspace, delivery, requests=size, batch=size) == expected

        check()


def last_arrival_wins(monkeypatch) -> None:
    """An attribute has the value that arrived last, as in PostHog."""
    monkeypatch.setattr(
        lww_register, "put", lambda registers, key, register: registers.update({key: register})
    )


def first_arrival_links(monkeypatch) -> None:
    """A device belongs to the user whose message arrived first."""

    monkeypatch.setattr(fold, "_merge_links", lambda stored, limited: {**limited, **stored})


@pytest.mark.nightly
@pytest.mark.parametrize("sabotage", [last_arrival_wins, first_arrival_links])
def test_with_a_rule_that_depends_on_arrival_the_check_fails(converges, monkeypatch, sabotage):
    sabotage(monkeypatch)

    @examples.sabotaged()
    @given(data=st.data(), history=histories, size=st.integers(1, 3))
    def check(data, history, size):
        converges(history, data.draw(deliveries(history)), size)

    with pytest.raises(AssertionError):
        check()
