"""A request is read into a model, or refused with a list of problems."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import StrEnum
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, model_validator
from starlette.requests import Request

from domain.core.errors import InvalidRequest
from interfaces.http.kit.errors import BodyTooLarge
from interfaces.http.kit.params import (
    MAX_BODY_BYTES,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)


class Order(StrEnum):
    UP = "up"
    DOWN = "down"


class Params(BaseModel):
    ref: Annotated[str, Field(max_length=10)]
    since: str | None = Field(None, alias="from", description="Not before this.")
    order: Order = Order.UP
    where: list[str] = Field(default_factory=list)
    limit: Annotated[int, Field(ge=1, le=10)] = 5

    @model_validator(mode="after")
    def _together(self):
        if self.since and self.order is Order.DOWN:
            raise ValueError("from goes only with order=up")
        return self


PATH = "/things/{ref}"
read = params_reader(Params, PATH)


def request(query: str = "", ref: str = "a", chunks: tuple[bytes, ...] = ()) -> Request:
    messages = [{"type": "http.request", "body": item, "more_body": True} for item in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive():
        return messages.pop(0)

    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/things/{ref}",
        "query_string": query.encode(),
        "headers": [],
        "path_params": {"ref": ref},
    }
    return Request(scope, receive)


def wrong(query: str, ref: str = "a") -> list[dict[str, str]]:
    with pytest.raises(InvalidRequest) as refused:
        read(request(query, ref))
    return refused.value.details["errors"]


def test_an_omitted_parameter_has_its_default():
    params = read(request())
    assert (params.ref, params.since, params.order, params.where, params.limit) == (
        "a",
        None,
        Order.UP,
        [],
        5,
    )


def test_a_parameter_is_read_by_its_alias():
    assert read(request("from=2026")).since == "2026"
    assert wrong("since=2026")[0]["name"] == "since"


def test_a_repeated_parameter_keeps_order_and_special_characters():
    params = read(request("where=properties.total%3E100&where=items%5B%5D.type%3Dmonitor"))
    assert params.where == ["properties.total>100", "items[].type=monitor"]


def test_every_invalid_parameter_is_reported_at_once():
    assert [item["name"] for item in wrong("nothing=1&more=2&order=up&order=down")] == [
        "nothing",
        "more",
        "order",
    ]
    assert [item["name"] for item in wrong("limit=0&order=sideways")] == ["order", "limit"]


def test_a_rule_over_several_parameters_is_reported_too():
    assert "order=up" in wrong("from=2026&order=down")[0]["problem"]


def test_the_location_of_a_problem_is_reported():
    assert wrong("", ref="x" * 11)[0]["in"] == "path"
    assert wrong("limit=x")[0]["in"] == "query"


@given(st.text(), st.text())
def test_any_query_string_is_read_or_refused(query, ref):
    with suppress(InvalidRequest):
        read(request(query.encode("utf-8", "replace").decode("latin-1"), ref))


def test_a_body_is_read_whatever_its_content_type():
    found = asyncio.run(parse_body(request(chunks=(b'{"ref": ', b'"b"}')), Params))
    assert found.ref == "b"


def test_a_body_is_not_buffered_beyond_its_limit():
    endless = tuple(b" " * (MAX_BODY_BYTES // 4) for _ in range(100))
    params = request(chunks=endless)
    with pytest.raises(BodyTooLarge):
        asyncio.run(parse_body(params, Params))


def test_published_parameters_contain_no_references():
    published = {item["name"]: item for item in openapi_parameters(Params, PATH)["parameters"]}
    assert published["ref"] == {
        "name": "ref",
        "in": "path",
        "required": True,
        "description": "",
        "schema": {"type": "string", "maxLength": 10, "title": "Ref"},
    }
    assert published["order"]["schema"]["enum"] == ["up", "down"]
    assert published["from"]["schema"] == {"type": "string", "title": "From"}
    assert published["from"]["description"] == "Not before this."
    assert published["where"]["schema"]["type"] == "array"
    assert "$ref" not in str(published)


def test_a_published_body_is_json():
    class Wanted(BaseModel):
        kind: str

    content = openapi_body(Wanted)["requestBody"]["content"]["application/json"]
    assert content["schema"]["required"] == ["kind"]
