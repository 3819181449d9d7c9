"""Paths with parameters: routed as received, decoded afterwards."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interfaces.wire.base import is_valid_identifier
from interfaces.wire.routing import RouteTable

TABLE = RouteTable(
    (path, path)
    for path in (
        "/v1/batch",
        "/customers/{customer}",
        "/customers/{customer}/events",
        "/customers/region",
        "/customers/{customer}/devices/{device}",
    )
)


def found(path: str | bytes):
    match = TABLE.find(path if isinstance(path, bytes) else path.encode())
    return match and (match.target, dict(match.parameters))


@given(st.text(min_size=1), st.text(min_size=1), st.booleans())
def test_any_text_survives_as_a_parameter(customer, device, slash):
    path = f"/customers/{quote(customer, safe='')}/devices/{quote(device, safe='')}{'/' * slash}"
    assert found(path) == (
        "/customers/{customer}/devices/{device}",
        {"customer": customer, "device": device},
    )


def test_an_encoded_slash_is_no_slash():
    assert found("/customers/a%2Fevents") == ("/customers/{customer}", {"customer": "a/events"})
    assert found("/customers/a/events") == ("/customers/{customer}/events", {"customer": "a"})
    assert found("/v1%2Fbatch") is None


def test_an_exact_path_wins_and_may_be_encoded_too():
    assert found("/customers/region") == ("/customers/region", {})
    assert found("/v1/b%61tch/") == ("/v1/batch", {})


@pytest.mark.parametrize(
    "path", ["", "/", "//", "/customers", "/customers/", "/customers//events", "/v1/batch//", "*"]
)
def test_a_path_with_an_empty_parameter_is_not_found(path):
    assert found(path) is None


def test_what_is_not_utf_8_is_no_valid_identifier():
    _, parameters = found(b"/customers/%ff\xfe")
    assert not is_valid_identifier(parameters["customer"])


@given(st.binary())
def test_any_bytes_are_routed_or_not_found(path):
    found(path)


@pytest.mark.parametrize(
    "paths", [("/a", "/a"), ("/{x}/b", "/{y}/b"), ("/{x}/b", "/a/{y}"), ("/{x}", "/{x}")]
)
def test_two_paths_for_the_same_request_are_refused(paths):
    with pytest.raises(ValueError, match="path"):
        RouteTable((path, path) for path in paths)
