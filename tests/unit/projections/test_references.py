from __future__ import annotations

from uuid import UUID

import pytest

from domain.core.errors import InvalidRequest
from domain.core.identifiers import Identifier
from projections.kit import references

ID = UUID("3f2504e0-4f89-11d3-9a0c-0305e82c3301")
STREAM = UUID(int=1)


@pytest.mark.parametrize(
    ("reference", "identifier"),
    [
        ("user_id:u-1", Identifier("user_id", "u-1")),
        ("user_id:a:b", Identifier("user_id", "a:b")),
        ("email:Ada@Example.com", Identifier("email", "ada@example.com")),
        ("anonymous_id:a-1", Identifier("anonymous_id", "a-1")),
        ("phone:+49123", Identifier("phone", "+49123")),
        ("external_id:x", Identifier("external_id", "x")),
    ],
)
def test_an_identifier_names_the_profile_of_its_stream(reference, identifier):
    resolved = []
    assert references.resolve_stream(reference, lambda it: resolved.append(it) or STREAM) == STREAM
    assert resolved == [identifier]


def test_a_profile_id_names_itself():
    assert references.resolve_stream(str(ID), lambda _: STREAM) == ID


@pytest.mark.parametrize("reference", ["", "u-1", "user_id:", "name:ada", ":", "user_id"])
def test_anything_else_is_refused_with_the_kinds_there_are(reference):
    with pytest.raises(InvalidRequest, match="KIND one of user_id, email, phone"):
        references.resolve_stream(reference, lambda _: STREAM)
