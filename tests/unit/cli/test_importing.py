"""How a file to import is to be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from domain.core.errors import InvalidRequest
from interfaces.cli.file_import import resolve_source


@pytest.mark.parametrize(
    ("name", "told", "columns", "expected"),
    [
        ("shop.csv", None, {"name": "event"}, "csv"),
        ("shop.csv.gz", None, {"name": "event"}, "csv"),
        ("shop.txt", "csv", {"name": "event"}, "csv"),
        ("shop.ndjson", None, {}, "ndjson"),
        ("shop.jsonl.gz", None, {"user": None, "numbers": ()}, "ndjson"),
        ("shop.csv", "ndjson", {}, "ndjson"),
    ],
)
def test_the_format_is_what_was_said_or_what_the_name_says(
    tmp_path: Path, name: str, told: str | None, columns: dict[str, Any], expected: str
) -> None:
    (tmp_path / name).touch()
    assert resolve_source(tmp_path / name, told, columns).format == expected


@pytest.mark.parametrize(
    ("name", "told", "columns", "reason"),
    [
        ("nowhere.csv", None, {"name": "event"}, "there is no file"),
        ("shop.txt", None, {}, "--format is one of csv, ndjson"),
        ("shop.csv", "segment", {}, "--format is one of csv, ndjson"),
        ("shop.csv", None, {"user": "user_id"}, "--name is missing"),
        ("shop.ndjson", None, {"name": "event"}, "leave the columns out"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_say_instead(
    tmp_path: Path, name: str, told: str | None, columns: dict[str, Any], reason: str
) -> None:
    if name != "nowhere.csv":
        (tmp_path / name).touch()
    with pytest.raises(InvalidRequest, match=reason):
        resolve_source(tmp_path / name, told, columns)
