"""`foldline import`: all that is good goes in, once; what is not is told and kept."""

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
    """A shop's events; every tenth row says the same as the row before it."""
    lines = ["user_id,event,timestamp,price"]
    for number in range(rows):
        said = number - 1 if number % 10 == 9 else number
        seconds = f"{said // 60 % 60:02}:{said % 60:02}"
        lines.append(f"u-{said % 40},viewed,2026-01-02 {said // 3600:02}:{seconds},{said}.5")
    return "\n".join(lines) + "\n"


def summary(done: CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rows_of(database: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database) as connection:
        return connection.execute(sql).fetchall()


def test_importing_a_file_twice_adds_it_once(
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


def test_projecting_can_be_left_to_a_worker(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "shop.csv"
    file.write_text(clickstream(300))
    assert foldline("import", str(file), *COLUMNS, "--no-project").returncode == 0
    assert rows_of(database, "SELECT position FROM projections.checkpoint WHERE position > 0") == []
    assert rows_of(database, "SELECT last_position FROM ledger.ledger_head") == [(300,)]


def test_bad_rows_are_told_with_line_and_reason_and_the_rest_goes_in(
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
    assert done.stdout == "2 recorded, 0 already there, 4 rejected\n"
    for line, reason in ((3, "event name"), (4, "yesterday"), (5, "cheap"), (6, "2 cells")):
        assert any(f"line {line}:" in said and reason in said for said in done.stderr.splitlines())
    kept = rows_of(database, "SELECT source, message, raw FROM ledger.rejected ORDER BY message")
    assert [(source, message[:6]) for source, message, _ in kept] == [
        ("csv", f"line {line}") for line in (3, 4, 5, 6)
    ]
    assert kept[1][2] == b"u-1,viewed,yesterday,1"
    again = json.loads(foldline("import", str(file), *COLUMNS, "--json").stdout)
    assert (again["recorded"], again["duplicates"], again["rejected"]) == (0, 2, 4)
    assert [it["line"] for it in again["rejections"]] == [3, 4, 5, 6]


def test_only_the_first_rejected_lines_are_shown(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "shop.csv"
    file.write_text("user_id,event,timestamp,price\n" + "u-1,,2026-01-02,1\n" * 25)
    done = foldline("import", str(file), *COLUMNS)
    assert done.returncode == 1, "nothing of the file is in the ledger"
    assert done.stderr.count("line ") == 20
    assert "and 5 more" in done.stderr


def test_segment_messages_are_imported_from_lines_of_json(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "messages.ndjson"
    good = [
        {"type": "track", "event": "Seen", "userId": "u-1", "messageId": "m-1"},
        {"type": "identify", "userId": "u-1", "traits": {"plan": "pro"}},
    ]
    file.write_text("\n".join([*map(json.dumps, good), "{broken"]))
    for recorded, duplicates in ((2, 0), (0, 2)):
        found = summary(foldline("import", str(file), "--json"))
        assert (found["recorded"], found["duplicates"]) == (recorded, duplicates)
        assert [it["line"] for it in found["rejections"]] == [3]


def test_a_file_that_breaks_off_is_recorded_up_to_there_and_told(
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


def test_a_queue_smaller_than_a_batch_only_makes_it_slower(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "shop.csv"
    file.write_text(clickstream())
    small = ("--queue-events", "10", "--flush-events", "10")
    found = summary(foldline("import", str(file), *COLUMNS, *small, "--json"))
    assert found["recorded"] == ROWS


def test_a_file_without_the_named_column_is_refused_with_the_columns_that_it_has(
    foldline: Foldline, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "shop.csv"
    file.write_text(clickstream(10))
    done = foldline("import", str(file), "--name", "evnt")
    assert done.returncode == 1
    assert "error: the file has no column evnt; it has user_id, event" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_first_import_makes_the_workspace_and_shows_its_keys_beside_the_answer(
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
    assert "there is no workspace 'shop'; there are: default" in unknown.stderr
