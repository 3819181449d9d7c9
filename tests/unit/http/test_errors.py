"""Each error of the domain has a status and hides internal details."""

from __future__ import annotations

import json

import pytest

from domain.core import errors
from domain.core.errors import FoldlineError, LedgerUnavailable, UnsafeServer
from interfaces.http.kit.errors import STATUS_BY_ERROR, error_response, problem_response

ERRORS = [
    item
    for item in vars(errors).values()
    if isinstance(item, type) and issubclass(item, FoldlineError) and item is not FoldlineError
]


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_of_the_domain_has_a_status(kind):
    assert kind in STATUS_BY_ERROR
    assert error_response(kind("why", fact=1)).status_code == STATUS_BY_ERROR[kind]


@pytest.mark.parametrize("kind", [item for item in ERRORS if STATUS_BY_ERROR[item] == 503])
def test_retryable_errors_have_a_retry_after(kind):
    assert error_response(kind("why")).headers["retry-after"] == "1"


@pytest.mark.parametrize("kind", [LedgerUnavailable, UnsafeServer])
def test_the_database_address_is_not_revealed(kind):
    assert b"10.0.0.1" not in bytes(error_response(kind("why", reason="10.0.0.1 refused")).body)


def test_a_subclass_of_an_error_has_its_status():
    class Odd(errors.NotFound):
        code = "odd"

    answer = error_response(Odd("why"))
    assert (answer.status_code, json.loads(bytes(answer.body))["code"]) == (404, "odd")


def test_any_details_and_any_text_can_be_encoded():
    answer = problem_response(400, "odd", "\ud800 \0", {"set": {1}, "bytes": b"\xff"})
    assert json.loads(bytes(answer.body))["message"] == "\ud800 \0"
