"""The same messages in any order, any number of times, in any batches, give the same read models."""

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
    """Checks that two deliveries, taken in batches of other sizes, come to the same rows."""
    engine, workspaces = unsynced(database), count(1)
    models = Given(engine)

    def check(one: Sequence[Message], other: Sequence[Message], size: int) -> None:
        rows = []
        for delivery, batch in ((one, 4_000), (other, size)):
            workspace = next(workspaces)
            first = {it.message_id: it for it in reversed(delivery)}  # as the ledger takes them
            kept = [it for it in delivery if first.pop(it.message_id, None)]
            models.feed.workspaces[workspace] = recorded(kept)
            models.projector.catch_up(workspace, batch)
            rows.append(models.tables(workspace=workspace, without=MOVES_WITH_ORDER))
        assert rows[0] == rows[1]

    yield check
    engine.dispose()


class Foldline:
    """A ledger with all read models, on a database of its own."""

    def __init__(self, dsn: str) -> None:
        self.store = LedgerDatastore(dsn)
        self.workspaces = Workspaces(self.store)
        self.ledger = Ledger(self.store, self.workspaces)
        self.engine = unsynced(dsn)
        self.projector = Projector(self.ledger, self.engine, PROJECTIONS)
        self.projector.prepare()

    def workspace(self, secret: bytes) -> int:
        """Make a workspace that hashes names as another does that has the same secret."""
        made = self.workspaces.create(f"of {secret!r}").id
        with self.engine.begin() as tx:
            changed = "UPDATE ledger.workspace SET secret = %s WHERE id = %s"
            tx.exec_driver_sql(changed, (secret, made))
        return made

    def rows(self, workspace: int, delivery: Sequence[Message], requests: int, batch: int):
        """Record a delivery in requests of that size, project it, and return what that came to."""
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
        made = Foldline(dsn)
        try:
            yield made
        finally:
            made.close()


@examples.on_one_database(0.5)
@given(data=st.data(), history=histories, size=st.integers(1, 7))
def test_any_delivery_of_the_same_messages_gives_the_same_read_models(
    converges, data, history, size
):
    converges(history, data.draw(deliveries(history)), size)


def test_it_does_so_through_the_real_ledger(template):
    """Which links are recorded depends on the order there; what they come to does not."""
    secrets = (b"%032d" % n for n in count())
    with foldline(template) as one, foldline(template) as other:

        @examples.on_one_database(0.2)
        @given(data=st.data(), history=histories, size=st.integers(1, 7))
        def check(data, history, size):
            secret, delivery = next(secrets), data.draw(deliveries(history))
            there, here = (it.workspace(secret) for it in (other, one))
            expected = one.rows(here, history, requests=100, batch=4_000)
            assert other.rows(there, delivery, requests=size, batch=size) == expected

        check()


def last_arrival_wins(monkeypatch) -> None:
    """Attributes are the last that arrived, as in PostHog."""
    monkeypatch.setattr(lww_register, "put", lambda known, key, said: known.update({key: said}))


def first_arrival_links(monkeypatch) -> None:
    """A device belongs to whoever's message arrived first."""

    def as_they_came(known, said):
        return said.links | {pair: at for pair, (at, _) in known.links.items()}

    monkeypatch.setattr(fold, "_earliest", as_they_came)


@pytest.mark.parametrize(
    "sabotage", [last_arrival_wins, pytest.param(first_arrival_links, marks=pytest.mark.nightly)]
)
def test_with_a_rule_that_goes_by_arrival_the_check_goes_red(converges, monkeypatch, sabotage):
    sabotage(monkeypatch)

    @examples.sabotaged()
    @given(data=st.data(), history=histories, size=st.integers(1, 3))
    def check(data, history, size):
        converges(history, data.draw(deliveries(history)), size)

    with pytest.raises(AssertionError):
        check()
