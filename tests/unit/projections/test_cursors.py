from __future__ import annotations

from base64 import urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.core.errors import InvalidRequest
from projections.kit import cursors

instants = st.datetimes(timezones=st.just(UTC))


@given(instants, st.integers(1, 2**63 - 1), st.integers(0, 2**31 - 1))
def test_a_cursor_brings_back_the_place_where_the_page_ended(
    moment: datetime, position: int, ordinal: int
):
    cursor = cursors.encode_event(moment, position, ordinal)
    assert cursors.decode_event(cursor) == (moment, position, ordinal)


@given(instants, st.uuids(), st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_a_cursor_brings_back_the_session_where_the_page_ended(
    moment: datetime, stream: UUID, session: str
):
    assert cursors.decode_session(cursors.encode_session(moment, stream, session)) == (
        moment,
        stream,
        session,
    )


def forged(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "ä",
        "%%%",
        "AAAA",
        forged("1"),
        forged("1.2"),
        forged("1.2.3.4"),
        forged("1.-1.0"),
        forged("1.1.-1"),
        forged("9" * 30 + ".1.0"),
        forged(f"1.{2**63}.0"),
        forged(f"1.1.{2**31}"),
        forged("a.b.c"),
        "9" * 1_000,
    ],
)
def test_a_cursor_that_is_none_of_ours_is_refused(cursor):
    for read in (cursors.decode_event, cursors.decode_session):
        with pytest.raises(InvalidRequest, match="send the `next` of the previous page"):
            read(cursor)


@given(st.text())
def test_any_text_can_be_a_cursor_and_is_read_or_refused(text: str):
    with suppress(InvalidRequest):
        cursors.decode_event(text)
    with suppress(InvalidRequest):
        cursors.decode_session(text)
    with suppress(InvalidRequest):
        cursors.decode_text(text)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_name_goes_through_a_cursor_unchanged(name: str):
    assert cursors.decode_text(cursors.encode_text(name)) == name
