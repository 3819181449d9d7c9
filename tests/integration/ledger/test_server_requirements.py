"""Servers that could lose an acknowledged event are refused, with the reason."""

from __future__ import annotations

import psycopg
import pytest

from application.ledger import server_requirements
from domain.core.errors import UnsafeServer

pytestmark = pytest.mark.storage


def test_the_server_of_the_tests_is_safe(database: str) -> None:
    with psycopg.connect(database) as connection:
        server_requirements.require_safe_server(connection)


@pytest.mark.parametrize("setting", ["synchronous_commit", "default_transaction_read_only"])
def test_a_session_that_acknowledges_too_early_or_never_is_refused(
    database: str, setting: str
) -> None:
    value = {"synchronous_commit": "off", "default_transaction_read_only": "on"}[setting]
    with (
        psycopg.connect(database, options=f"-c {setting}={value}") as connection,
        pytest.raises(UnsafeServer, match="not safe for a ledger") as refused,
    ):
        server_requirements.require_safe_server(connection)
    assert refused.value.details["settings"]


def test_every_requirement_has_a_reason() -> None:
    for requirement in (*server_requirements.REQUIRED, *server_requirements.ADVISED):
        assert requirement.reason
        assert not requirement.is_safe("missing")
