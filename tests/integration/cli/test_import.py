"""`foldline import`: records valid rows once; reports and stores invalid ones."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.storage

Foldline = Callable[..., CompletedProcess[str]]

COLUMNS = ("--name", "event", "--user", "user_id", "--time", "timestamp", "--number", "price")
ROWS = 2_500


def clickstream(rows: int = ROWS) -> str:
    """Return a shop's events as CSV; every tenth row repeats the row before it."""
    lines = ["user_id,event,timestamp,price"]
    for number in range(rows):
        event = number - 1 if number % 10 == 9 else number
        seconds = f"{event // 60 % 60:02}:{event % 60:02}"
        lines.append(f"u-{event % 40},viewed,2026-01-02 {event // 3600:02}:{seconds},{event}.5")
    return "\n".join(lines) + "\n"


def summary(done: CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rows_of(database: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database) as connection:
        return connection.execute(sql).fetchall()


def test_importing_a_file_twice_records_it_once(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "shop.csv.gz"
    file.write_bytes(gzip.compress(clickstream().encode()))
    first = summary(foldline("import", str(file), *COLUMNS, "--json"))
    assert (first["recorded"], first["duplicates"], first["rejected"]) == (ROWS, 0, 0)
    assert first["position"] == ROWS
    second = summary(foldline("import", str(file), *COLUMNS, "--json"))
    assert (second["recorded"], second["duplicates"], second["rejected"]) == (0, ROWS, 0)
    assert second["position"] == ROWS


def test_the_read_models_are_at_the_head_after_an_import(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "shop.csv"
    file.write_text(clickstream(300))
    assert foldline("import", str(file), *COLUMNS).returncode == 0
    assert rows_of(database, "SELECT DISTINCT position FROM projections.checkpoint") == [(300,)]


def test_updating_read_models_can_be_left_to_a_worker(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "shop.csv"
    file.write_text(clickstream(300))
    assert foldline("import", str(file), *COLUMNS, "--no-project").returncode == 0
    assert rows_of(database, "SELECT position FROM projections.checkpoint WHERE position > 0") == []
    assert rows_of(database, "SELECT last_position FROM ledger.ledger_head") == [(300,)]


def test_invalid_rows_are_reported_with_line_and_reason_and_the_others_are_recorded(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "shop.csv"
    file.write_text(
        "user_id,event,timestamp,price\n"
        "u-1,viewed,2026-01-02,1\n"
        "u-1,,2026-01-02,1\n"
        "u-1,viewed,yesterday,1\n"
        "u-1,viewed,2026-01-02,cheap\n"
        "u-1,viewed\n"
        "u-2,viewed,2026-01-02,2\n"
    )
    done = foldline("import", str(file), *COLUMNS)
    assert done.returncode == 0
    assert done.stdout == "2 recorded, 0 duplicates, 4 rejected\n"
    for line, reason in ((3, "event name"), (4, "yesterday"), (5, "cheap"), (6, "2 cells")):
        assert any(f"line {line}:" in text and reason in text for text in done.stderr.splitlines())
    rejected = rows_of(
        database, "SELECT source, message, raw FROM ledger.rejected ORDER BY message"
    )
    assert [(source, message[:6]) for source, message, _ in rejected] == [
        ("csv", f"line {line}") for line in (3, 4, 5, 6)
    ]
    assert rejected[1][2] == b"u-1,viewed,yesterday,1"
    repeated = json.loads(foldline("import", str(file), *COLUMNS, "--json").stdout)
    assert (repeated["recorded"], repeated["duplicates"], repeated["rejected"]) == (0, 2, 4)
    assert [line["line"] for line in repeated["rejections"]] == [3, 4, 5, 6]


def test_only_the_first_rejected_lines_are_shown(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "shop.csv"
    file.write_text("user_id,event,timestamp,price\n" + "u-1,,2026-01-02,1\n" * 25)
    done = foldline("import", str(file), *COLUMNS)
    assert done.returncode == 1, "nothing of the file is in the ledger"
    assert done.stderr.count("line ") == 20
    assert "and 5 more" in done.stderr


def test_segment_messages_are_imported_from_ndjson(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "messages.ndjson"
    messages = [
        {"type": "track", "event": "Seen", "userId": "u-1", "messageId": "m-1"},
        {"type": "identify", "userId": "u-1", "traits": {"plan": "pro"}},
    ]
    file.write_text("\n".join([*map(json.dumps, messages), "{broken"]))
    for recorded, duplicates in ((2, 0), (0, 2)):
        result = summary(foldline("import", str(file), "--json"))
        assert (result["recorded"], result["duplicates"]) == (recorded, duplicates)
        assert [line["line"] for line in result["rejections"]] == [3]


def test_a_truncated_file_is_recorded_up_to_the_error_and_reported(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    packed = gzip.compress(clickstream().encode())
    file = tmp_path / "shop.csv.gz"
    file.write_bytes(packed[: len(packed) // 2])
    done = foldline("import", str(file), *COLUMNS)
    assert done.returncode == 1
    assert "the compressed file is damaged" in done.stderr
    assert "Traceback" not in done.stderr
    [(head,)] = rows_of(database, "SELECT last_position FROM ledger.ledger_head")
    assert 0 < head < ROWS
    file.write_bytes(packed)
    whole = summary(foldline("import", str(file), *COLUMNS, "--json"))
    assert (whole["recorded"], whole["duplicates"]) == (ROWS - head, head)


def test_a_queue_smaller_than_a_batch_only_makes_the_import_slower(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "shop.csv"
    file.write_text(clickstream())
    small = ("--queue-events", "10", "--flush-events", "10")
    result = summary(foldline("import", str(file), *COLUMNS, *small, "--json"))
    assert result["recorded"] == ROWS


def test_a_missing_column_is_reported_with_the_columns_of_the_file(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "shop.csv"
    file.write_text(clickstream(10))
    done = foldline("import", str(file), "--name", "evnt")
    assert done.returncode == 1
    assert "error: unknown column evnt; the file has user_id, event" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_first_import_creates_the_workspace_and_prints_its_keys_to_standard_error(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "shop.csv"
    file.write_text(clickstream(10))
    first = foldline("import", str(file), *COLUMNS, "--json")
    assert summary(first)["recorded"] == 10
    assert "cdp_live_write_" in first.stderr
    assert "cdp_live_" not in foldline("import", str(file), *COLUMNS, "--json").stderr
    unknown = foldline("import", str(file), *COLUMNS, "--workspace", "shop")
    assert unknown.returncode == 1
    assert "workspace 'shop' does not exist; use one of: default" in unknown.stderr
