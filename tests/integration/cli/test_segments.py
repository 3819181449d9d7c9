"""`foldline segments` as scripts use it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

pytestmark = pytest.mark.storage

Foldline = Callable[..., CompletedProcess[str]]


def test_a_segment_is_defined_and_archived(foldline: Foldline, tmp_path: Path) -> None:
    file = tmp_path / "buyers.json"
    definition = {"id": "buyers", "name": "Buyers", "condition": {"event": "purchase"}}
    file.write_text(json.dumps(definition))
    created, repeated = (
        json.loads(foldline("segments", "define", str(file)).stdout) for _ in range(2)
    )
    assert (created["id"], created["version"], created["changed"]) == ("buyers", 1, True)
    assert repeated == created | {"changed": False}
    archived = json.loads(foldline("segments", "archive", "buyers", "--reason", "over").stdout)
    assert (archived["archived"], archived["version"]) == (True, 2)
    refused = foldline("segments", "archive", "buyers")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "there is no segment 'buyers'" in refused.stderr
    file.write_text('{"name": "x"}')
    assert "give either a condition" in foldline("segments", "define", str(file)).stderr


def test_the_members_of_a_segment_are_printed_as_csv(foldline: Foldline, tmp_path: Path) -> None:
    defined, events = tmp_path / "buyers.json", tmp_path / "events.ndjson"
    defined.write_text('{"id": "buyers", "name": "Buyers", "condition": {"event": "purchase"}}')
    foldline("segments", "define", str(defined))
    message = {"type": "track", "event": "purchase", "userId": "=u-1", "messageId": "m-1"}
    events.write_text(json.dumps(message))
    assert foldline("import", str(events)).returncode == 0
    header, line = foldline("segments", "members", "buyers").stdout.splitlines()
    assert header == "profile_id,user_id,email,phone,external_id,anonymous_id,entered_at"
    assert line.split(",")[1] == "'=u-1"
    refused = foldline("segments", "members", "unknown")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "segment 'unknown' does not exist" in refused.stderr
