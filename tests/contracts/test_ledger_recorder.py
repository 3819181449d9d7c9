"""The library's contract tests of a recorder, on our tables, role and triggers."""

from __future__ import annotations

import pytest
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
)

from application.ledger.recorder import LedgerRecorder
from application.ledger.store import LedgerDatastore
from application.ledger.tables.workspaces import Workspaces

pytestmark = pytest.mark.storage


class LedgerDatabase:
    @pytest.fixture(autouse=True)
    def _database(self, database: str):
        self.store = LedgerDatastore(database, connections=12)
        self.workspace = Workspaces(self.store).create("default").id
        yield
        self.store.close()

    def create_recorder(self) -> LedgerRecorder:
        return LedgerRecorder(self.store, self.workspace)


class TestApplicationRecorder(LedgerDatabase, ApplicationRecorderTestCase[LedgerRecorder]):
    pass


@pytest.mark.smoke
class TestNonInterleavingNotificationIDs(LedgerDatabase, NonInterleavingNotificationIDsBaseCase):
    pass
