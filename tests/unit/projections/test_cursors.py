from __future__ import annotations

from base64 import urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidRequest
from projections import cursors


@given(st.datetimes(timezones=st.just(UTC)), st.integers(1, 2**63 - 1))
def test_a_cursor_brings_back_the_place_where_the_page_ended(moment: datetime, position: int):
    assert cursors.event(cursors.after_event(moment, position)) == (moment, position)


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
        forged("1.2.3"),
        forged("1.-1"),
        forged("9" * 30 + ".1"),
        forged(f"1.{2**63}"),
        forged("a.b"),
        "9" * 1_000,
    ],
)
def test_a_cursor_that_is_none_of_ours_is_refused(cursor):
    with pytest.raises(InvalidRequest, match="send the `next` of the page before"):
        cursors.event(cursor)


@given(st.text())
def test_any_text_can_be_a_cursor_and_is_read_or_refused(text: str):
    with suppress(InvalidRequest):
        cursors.event(text)
        cursors.text(text)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_name_goes_through_a_cursor_unchanged(name: str):
    assert cursors.text(cursors.after_text(name)) == name
