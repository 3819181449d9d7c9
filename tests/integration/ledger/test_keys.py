"""API keys: shown once, stored as a hash, refused within seconds of being revoked."""

from __future__ import annotations

import pytest

from application.ledger.tables import keys as keys_module
from application.ledger.tables.keys import KEY_KINDS, ApiKeys, CacheMiss, parse_key
from domain.core.errors import Conflict, InvalidRequest, NotFound
from tests.fix_ledger import Bench

pytestmark = pytest.mark.storage


@pytest.fixture
def keys(bench: Bench) -> ApiKeys:
    return ApiKeys(bench.store)


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_a_key_authenticates_its_workspace_and_kind(bench: Bench, keys: ApiKeys, kind: str) -> None:
    created = keys.create(bench.workspace, kind)
    assert created.text.startswith(f"cdp_live_{kind}_{created.id}_")
    assert keys.cached(created.text) is CacheMiss.MISS
    key = keys.authenticate(created.text)
    assert key is not None
    assert (key.workspace, key.kind, key.id) == (bench.workspace, kind, created.id)
    assert keys.cached(created.text) == key


def test_a_stolen_database_cannot_authenticate(bench: Bench, keys: ApiKeys) -> None:
    created = keys.create(bench.workspace, "write")
    _, secret = parse_key(created.text) or ("", "")
    assert secret not in repr(bench.sql("SELECT * FROM ledger.api_key"))
    assert secret.encode().hex() not in repr(bench.sql("SELECT hash::text FROM ledger.api_key"))


@pytest.mark.parametrize(
    "damage", [lambda t: t[:-1], lambda t: t[:-1] + ("a" if t[-1] != "a" else "b"), str.upper]
)
def test_a_mistyped_key_is_refused_without_a_query(bench: Bench, keys: ApiKeys, damage) -> None:
    created = keys.create(bench.workspace, "write")
    assert keys.cached(damage(created.text)) is None


@pytest.mark.parametrize(
    "text", ["", "x", "cdp_live_write", "é" * 80, "cdp_live_write_a_b_c", "\0"]
)
def test_other_text_is_no_key(keys: ApiKeys, text: str) -> None:
    assert keys.authenticate(text) is None


def test_a_revoked_key_is_refused_here_at_once_and_in_other_processes_soon(
    bench: Bench, keys: ApiKeys, monkeypatch
) -> None:
    created = keys.create(bench.workspace, "read")
    other_process = ApiKeys(bench.store)
    assert other_process.authenticate(created.text) is not None
    keys.revoke(bench.workspace, created.id)
    assert keys.authenticate(created.text) is None
    now = keys_module.time.monotonic()
    monkeypatch.setattr(keys_module.time, "monotonic", lambda: now + 5.1)
    assert other_process.authenticate(created.text) is None
    (row,) = keys.list(bench.workspace)
    assert row.revoked_at is not None


def test_a_key_of_another_workspace_cannot_be_revoked(bench: Bench, keys: ApiKeys) -> None:
    created = keys.create(bench.workspace, "read")
    with pytest.raises(NotFound):
        keys.revoke(bench.workspaces.create("other").id, created.id)
    assert keys.authenticate(created.text) is not None


def test_there_are_three_kinds(bench: Bench, keys: ApiKeys) -> None:
    with pytest.raises(InvalidRequest, match="write, read, admin"):
        keys.create(bench.workspace, "root")


def test_workspace_names_are_unique_and_valid(bench: Bench) -> None:
    assert bench.workspaces.by_name("default").id == bench.workspace
    with pytest.raises(Conflict):
        bench.workspaces.create("default")
    with pytest.raises(NotFound, match="default"):
        bench.workspaces.by_name("nope")
    with pytest.raises(InvalidRequest):
        bench.workspaces.create(" x")
