"""The server reads packed arrays as the values that were packed."""

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
def test_the_server_reads_the_packed_values(server, values, array, kind) -> None:
    @given(st.lists(values | st.none()))
    def holds(items) -> None:
        packed = pack_array(items)
        if any(item is not None for item in items):
            assert type(packed) is array
        [answer] = server.execute(f"SELECT %b::{kind}[]", (packed,), binary=True).fetchone()
        assert answer == items

    holds()


def test_values_without_an_array_type_stay_a_list() -> None:
    assert type(pack_array([True, None])) is list
    assert type(pack_array([None])) is list
