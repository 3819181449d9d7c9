"""Choice of the reader for a file to import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from domain.core.errors import InvalidRequest
from interfaces.cli.file_import import resolve_source


@pytest.mark.parametrize(
    ("name", "format_name", "columns", "expected"),
    [
        ("shop.csv", None, {"name": "event"}, "csv"),
        ("shop.csv.gz", None, {"name": "event"}, "csv"),
        ("shop.txt", "csv", {"name": "event"}, "csv"),
        ("shop.ndjson", None, {}, "ndjson"),
        ("shop.jsonl.gz", None, {"user": None, "numbers": ()}, "ndjson"),
        ("shop.csv", "ndjson", {}, "ndjson"),
    ],
)
def test_the_format_is_the_given_one_or_that_of_the_file_name(
    tmp_path: Path, name: str, format_name: str | None, columns: dict[str, Any], expected: str
) -> None:
    (tmp_path / name).touch()
    assert resolve_source(tmp_path / name, format_name, columns).format == expected


@pytest.mark.parametrize(
    ("name", "format_name", "columns", "reason"),
    [
        ("nowhere.csv", None, {"name": "event"}, "file not found"),
        ("shop.txt", None, {}, "--format must be one of csv, ndjson"),
        ("shop.csv", "segment", {}, "--format must be one of csv, ndjson"),
        ("shop.csv", None, {"user": "user_id"}, "--name is missing"),
        ("shop.ndjson", None, {"name": "event"}, "omit the column options"),
    ],
)
def test_an_unreadable_source_is_rejected_with_the_reason(
    tmp_path: Path, name: str, format_name: str | None, columns: dict[str, Any], reason: str
) -> None:
    if name != "nowhere.csv":
        (tmp_path / name).touch()
    with pytest.raises(InvalidRequest, match=reason):
        resolve_source(tmp_path / name, format_name, columns)
