"""Keys: shown once, stored as a hash, useless within seconds of being revoked."""

from __future__ import annotations

import pytest

from application.ledger.tables import keys as keys_module
from application.ledger.tables.keys import KEY_KINDS, ApiKeys, parse_key
from domain.core.errors import Conflict, InvalidRequest, NotFound
from tests.fix_ledger import Bench

pytestmark = pytest.mark.storage


@pytest.fixture
def keys(bench: Bench) -> ApiKeys:
    return ApiKeys(bench.store)


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_a_key_says_whom_it_speaks_for(bench: Bench, keys: ApiKeys, kind: str) -> None:
    made = keys.create(bench.workspace, kind)
    assert made.text.startswith(f"cdp_live_{kind}_{made.id}_")
    key = keys.authenticate(made.text)
    assert key is not None
    assert (key.workspace, key.kind, key.id) == (bench.workspace, kind, made.id)


def test_a_stolen_database_cannot_authenticate(bench: Bench, keys: ApiKeys) -> None:
    made = keys.create(bench.workspace, "write")
    _, secret = parse_key(made.text) or ("", "")
    assert secret not in repr(bench.sql("SELECT * FROM ledger.api_key"))
    assert secret.encode().hex() not in repr(bench.sql("SELECT hash::text FROM ledger.api_key"))


@pytest.mark.parametrize(
    "damage", [lambda t: t[:-1], lambda t: t[:-1] + ("a" if t[-1] != "a" else "b"), str.upper]
)
def test_a_mistyped_key_is_refused_without_asking_the_database(
    bench: Bench, keys: ApiKeys, damage
) -> None:
    made = keys.create(bench.workspace, "write")
    assert keys.cached(damage(made.text)) == (True, None)


@pytest.mark.parametrize(
    "text", ["", "x", "cdp_live_write", "é" * 80, "cdp_live_write_a_b_c", "\0"]
)
def test_anything_else_is_no_key(keys: ApiKeys, text: str) -> None:
    assert keys.authenticate(text) is None


def test_a_revoked_key_is_useless_here_at_once_and_elsewhere_soon(
    bench: Bench, keys: ApiKeys, monkeypatch
) -> None:
    made = keys.create(bench.workspace, "read")
    elsewhere = ApiKeys(bench.store)
    assert elsewhere.authenticate(made.text) is not None
    keys.revoke(bench.workspace, made.id)
    assert keys.authenticate(made.text) is None
    now = keys_module.time.monotonic()
    monkeypatch.setattr(keys_module.time, "monotonic", lambda: now + 5.1)
    assert elsewhere.authenticate(made.text) is None
    (row,) = keys.list(bench.workspace)
    assert row.revoked_at is not None


def test_a_key_of_another_workspace_cannot_be_revoked(bench: Bench, keys: ApiKeys) -> None:
    made = keys.create(bench.workspace, "read")
    with pytest.raises(NotFound):
        keys.revoke(bench.workspaces.create("other").id, made.id)
    assert keys.authenticate(made.text) is not None


def test_there_are_three_kinds(bench: Bench, keys: ApiKeys) -> None:
    with pytest.raises(InvalidRequest, match="write, read, admin"):
        keys.create(bench.workspace, "root")


def test_workspaces_have_names_of_their_own(bench: Bench) -> None:
    assert bench.workspaces.by_name("default").id == bench.workspace
    with pytest.raises(Conflict):
        bench.workspaces.create("default")
    with pytest.raises(NotFound, match="default"):
        bench.workspaces.by_name("nope")
    with pytest.raises(InvalidRequest):
        bench.workspaces.create(" x")
