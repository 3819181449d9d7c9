"""Arrays that are packed here are what the server reads."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.kit.arrays import Bigints, Blobs, Texts, Uuids, pack_array

BIGINTS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@pytest.fixture(scope="module")
def server(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_dsn) as tx:
        yield tx


@pytest.mark.parametrize(
    ("values", "array", "kind"),
    [
        (st.uuids(), Uuids, "uuid"),
        (BIGINTS, Bigints, "bigint"),
        (TEXTS, Texts, "text"),
        (st.binary(), Blobs, "bytea"),
    ],
)
def test_the_server_reads_what_was_packed(server, values, array, kind) -> None:
    @given(st.lists(values | st.none()))
    def holds(found) -> None:
        asked = pack_array(found)
        if any(it is not None for it in found):
            assert type(asked) is array
        [back] = server.execute(f"SELECT %b::{kind}[]", (asked,), binary=True).fetchone()
        assert back == found

    holds()


def test_what_no_array_is_packed_for_goes_as_a_list() -> None:
    assert type(pack_array([True, None])) is list
    assert type(pack_array([None])) is list
