"""Segment's messages: whose they are, and which message each is."""

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


@pytest.mark.parametrize("nobody", [None, "", ...])
def test_null_empty_and_absent_ids_mean_nobody(nobody):
    assert accepted(track(userId=nobody, anonymousId="a-1")).identifiers == (ANONYMOUS,)
    assert accepted(track(anonymousId=nobody)).identifiers == (USER,)
    assert rejected(track(userId=nobody, anonymousId=nobody)).code == "no_user_anon_id"


@pytest.mark.parametrize(
    ("number", "text"),
    [(b"42", "42"), (b"-1", "-1"), (b"18446744073709551616", "18446744073709551616"),
     (b"1.0", "1.0"), (b"1e2", "1e2"), (b"9" * 900, "9" * 900)],
)  # fmt: skip
def test_a_number_is_an_id_as_it_is_written(number, text):
    message = accepted(b'{"type":"track","event":"x","userId":%b}' % number)
    assert message.identifiers == (Identifier("user_id", text),)


@pytest.mark.parametrize(
    "value",
    [True, False, [], {}, ["u-1"], "a\0b", "a\nb", "\x7f", "\x85", "\ud83d", "x" * 1025, "é" * 513],
)
@pytest.mark.parametrize("field", ["userId", "anonymousId"])
def test_what_cannot_be_an_id_is_rejected(field, value):
    assert rejected(track(**{field: value})).code == "invalid_id"


def test_an_id_of_10_000_digits_is_rejected():
    assert rejected(b'{"type":"track","event":"x","userId":' + b"9" * 10_000 + b"}").code == (
        "invalid_id"
    )


@pytest.mark.parametrize("value", ["x" * 1024, "é" * 512, "😀" * 256, " ", "a b", "\u200d", "İ"])
def test_ids_are_kept_as_they_are_sent(value):
    assert accepted(track(userId=value)).identifiers == (Identifier("user_id", value),)


def test_identify_may_name_somebody_by_e_mail_alone():
    item = {"type": "identify", "messageId": "m-1", "traits": {"email": " Ann@Example.com"}}
    assert accepted(item).identifiers == (Identifier("email", "ann@example.com"),)
    assert accepted(item | {"userId": "u-1"}).identifiers == (USER,)
    assert rejected(item | {"type": "track", "event": "x"}).code == "no_user_anon_id"


@pytest.mark.parametrize("traits", [{}, None, [], "x", {"email": 7}, {"email": ""}, {"email": " "}])
def test_identify_needs_somebody(traits):
    assert rejected({"type": "identify", "traits": traits}).code == "no_user_anon_id"


def test_a_group_needs_a_group_id():
    group = track(type="group")
    assert rejected(group).code == "missing_group_id"
    assert rejected(group | {"groupId": ""}).code == "missing_group_id"
    assert rejected(group | {"groupId": []}).code == "invalid_id"
    assert accepted(group | {"groupId": 7}).kind == "group"


def visitor(value: str) -> Identifier:
    return Identifier("anonymous_id", value)


def test_an_alias_absorbs_whoever_its_ids_stand_for():
    message = accepted(track(type="alias", previousId="old", anonymousId="a-1"))
    assert message.identifiers == (USER, ANONYMOUS)
    assert message.absorbs == (Identifier("user_id", "old"), visitor("old"), visitor("u-1"))


def test_an_alias_of_an_anonymous_id_is_about_the_user_alone():
    message = accepted(track(type="alias", previousId="a-1", anonymousId="a-1"))
    assert message.identifiers == (USER,)
    assert message.absorbs == (Identifier("user_id", "a-1"), ANONYMOUS, visitor("u-1"))


def test_an_alias_to_oneself_is_recorded_and_absorbs_nobody():
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
def test_a_message_id_is_kept_as_it_is_sent(message_id):
    assert accepted(track(messageId=message_id)).message_id == message_id


@pytest.mark.parametrize("message_id", ["", " ", "\t", None, True, [], {}, ...])
def test_a_message_without_a_usable_id_gets_one_from_the_server(message_id):
    assert accepted(track(messageId=message_id)).message_id == "server-1"


def test_a_number_as_message_id_is_its_text_so_that_a_retry_is_recognised():
    assert accepted(track(messageId=7)).message_id == "7"


@pytest.mark.parametrize("message_id", ["x" * 1025, "x" * 10_000, "a\0b", "a\nb", "\ud83d"])
def test_an_impossible_message_id_is_rejected(message_id):
    rejection = rejected(track(messageId=message_id))
    assert rejection.code == "invalid_message_id"
    assert rejection.message_id is None
