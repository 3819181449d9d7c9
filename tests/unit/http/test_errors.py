"""Each refusal of the domain has its status, and says no more than it should."""

from __future__ import annotations

import json

import pytest

from domain.core import errors
from domain.core.errors import FoldlineError, LedgerUnavailable, UnsafeServer
from interfaces.http.kit.errors import STATUS_BY_ERROR, error_response, problem_response

ERRORS = [
    it
    for it in vars(errors).values()
    if isinstance(it, type) and issubclass(it, FoldlineError) and it is not FoldlineError
]


@pytest.mark.parametrize("kind", ERRORS)
def test_every_refusal_of_the_domain_has_a_status(kind):
    assert kind in STATUS_BY_ERROR
    assert error_response(kind("why", fact=1)).status_code == STATUS_BY_ERROR[kind]


@pytest.mark.parametrize("kind", [it for it in ERRORS if STATUS_BY_ERROR[it] == 503])
def test_what_may_be_tried_again_says_when(kind):
    assert error_response(kind("why")).headers["retry-after"] == "1"


@pytest.mark.parametrize("kind", [LedgerUnavailable, UnsafeServer])
def test_where_the_database_is_stays_untold(kind):
    assert b"10.0.0.1" not in bytes(error_response(kind("why", reason="10.0.0.1 refused")).body)


def test_a_refusal_of_a_kind_of_its_own_has_the_status_of_what_it_is():
    class Odd(errors.NotFound):
        code = "odd"

    answer = error_response(Odd("why"))
    assert (answer.status_code, json.loads(bytes(answer.body))["code"]) == (404, "odd")


def test_any_fact_and_any_text_can_be_told():
    answer = problem_response(400, "odd", "\ud800 \0", {"set": {1}, "bytes": b"\xff"})
    assert json.loads(bytes(answer.body))["message"] == "\ud800 \0"
