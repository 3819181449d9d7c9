"""Segment's messages: identifiers and message ids."""

from __future__ import annotations

import pytest

from domain.core.identifiers import Identifier
from tests.unit.wire.given import (
    ANONYMOUS,
    USER,
    accepted,
    rejected,
    track,
)


@pytest.mark.parametrize("absent", [None, "", ...])
def test_null_and_empty_ids_count_as_absent(absent):
    assert accepted(track(userId=absent, anonymousId="a-1")).identifiers == (ANONYMOUS,)
    assert accepted(track(anonymousId=absent)).identifiers == (USER,)
    assert rejected(track(userId=absent, anonymousId=absent)).code == "no_user_anon_id"


@pytest.mark.parametrize(
    ("number", "text"),
    [(b"42", "42"), (b"-1", "-1"), (b"18446744073709551616", "18446744073709551616"),
     (b"1.0", "1.0"), (b"1e2", "1e2"), (b"9" * 900, "9" * 900)],
)  # fmt: skip
def test_a_number_is_an_id_as_written(number, text):
    message = accepted(b'{"type":"track","event":"x","userId":%b}' % number)
    assert message.identifiers == (Identifier("user_id", text),)


@pytest.mark.parametrize(
    "value",
    [True, False, [], {}, ["u-1"], "a\0b", "a\nb", "\x7f", "\x85", "\ud83d", "x" * 1025, "é" * 513],
)
@pytest.mark.parametrize("field", ["userId", "anonymousId"])
def test_an_invalid_id_is_rejected(field, value):
    assert rejected(track(**{field: value})).code == "invalid_id"


def test_an_id_of_10_000_digits_is_rejected():
    assert rejected(b'{"type":"track","event":"x","userId":' + b"9" * 10_000 + b"}").code == (
        "invalid_id"
    )


@pytest.mark.parametrize("value", ["x" * 1024, "é" * 512, "😀" * 256, " ", "a b", "\u200d", "İ"])
def test_ids_are_recorded_as_sent(value):
    assert accepted(track(userId=value)).identifiers == (Identifier("user_id", value),)


def test_identify_may_have_an_e_mail_address_as_its_only_identifier():
    item = {"type": "identify", "messageId": "m-1", "traits": {"email": " Ann@Example.com"}}
    assert accepted(item).identifiers == (Identifier("email", "ann@example.com"),)
    assert accepted(item | {"userId": "u-1"}).identifiers == (USER,)
    assert rejected(item | {"type": "track", "event": "x"}).code == "no_user_anon_id"


@pytest.mark.parametrize("traits", [{}, None, [], "x", {"email": 7}, {"email": ""}, {"email": " "}])
def test_identify_needs_an_identifier(traits):
    assert rejected({"type": "identify", "traits": traits}).code == "no_user_anon_id"


def test_a_group_needs_a_group_id():
    group = track(type="group")
    assert rejected(group).code == "missing_group_id"
    assert rejected(group | {"groupId": ""}).code == "missing_group_id"
    assert rejected(group | {"groupId": []}).code == "invalid_id"
    assert accepted(group | {"groupId": 7}).kind == "group"


def anonymous_id(value: str) -> Identifier:
    return Identifier("anonymous_id", value)


def test_an_alias_absorbs_its_ids_as_user_and_anonymous_ids():
    message = accepted(track(type="alias", previousId="old", anonymousId="a-1"))
    assert message.identifiers == (USER, ANONYMOUS)
    assert message.absorbs == (
        Identifier("user_id", "old"),
        anonymous_id("old"),
        anonymous_id("u-1"),
    )


def test_an_alias_of_an_anonymous_id_identifies_only_the_user():
    message = accepted(track(type="alias", previousId="a-1", anonymousId="a-1"))
    assert message.identifiers == (USER,)
    assert message.absorbs == (Identifier("user_id", "a-1"), ANONYMOUS, anonymous_id("u-1"))


def test_an_alias_of_a_user_to_itself_is_recorded_and_absorbs_no_profile():
    message = accepted(track(type="alias", previousId="u-1"))
    assert (message.identifiers, message.absorbs) == ((USER,), ())


@pytest.mark.parametrize(
    "ids",
    [{}, {"previousId": ""}, {"previousId": None}, {"previousId": "old", "userId": None},
     {"previousId": "old", "userId": "", "anonymousId": "a-1"}],
)  # fmt: skip
def test_an_alias_needs_both_ids(ids):
    assert rejected(track(type="alias", **ids)).code == "missing_previous_id"


@pytest.mark.parametrize("message_id", ["0", "x" * 100, "x" * 101, "x" * 1024, "é", "😀", "M-1"])
def test_a_message_id_is_recorded_as_sent(message_id):
    assert accepted(track(messageId=message_id)).message_id == message_id


@pytest.mark.parametrize("message_id", ["", " ", "\t", None, True, [], {}, ...])
def test_a_message_without_a_usable_id_gets_one_from_the_server(message_id):
    assert accepted(track(messageId=message_id)).message_id == "server-1"


def test_a_number_as_message_id_is_its_text_so_that_a_retry_is_recognised():
    assert accepted(track(messageId=7)).message_id == "7"


@pytest.mark.parametrize("message_id", ["x" * 1025, "x" * 10_000, "a\0b", "a\nb", "\ud83d"])
def test_an_invalid_message_id_is_rejected(message_id):
    rejection = rejected(track(messageId=message_id))
    assert rejection.code == "invalid_message_id"
    assert rejection.message_id is None
