"""`foldline segments`, as scripts use it."""

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
    wanted = {"id": "buyers", "name": "Buyers", "condition": {"event": "purchase"}}
    file.write_text(json.dumps(wanted))
    made, again = (json.loads(foldline("segments", "define", str(file)).stdout) for _ in range(2))
    assert (made["id"], made["version"], made["changed"]) == ("buyers", 1, True)
    assert again == made | {"changed": False}
    gone = json.loads(foldline("segments", "archive", "buyers", "--reason", "over").stdout)
    assert (gone["archived"], gone["version"]) == (True, 2)
    refused = foldline("segments", "archive", "buyers")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "there is no segment 'buyers'" in refused.stderr
    file.write_text('{"name": "x"}')
    assert "give either a condition" in foldline("segments", "define", str(file)).stderr


def test_the_members_of_a_segment_are_printed_as_a_table(
    foldline: Foldline, tmp_path: Path
) -> None:
    defined, events = tmp_path / "buyers.json", tmp_path / "events.ndjson"
    defined.write_text('{"id": "buyers", "name": "Buyers", "condition": {"event": "purchase"}}')
    foldline("segments", "define", str(defined))
    told = {"type": "track", "event": "purchase", "userId": "=u-1", "messageId": "m-1"}
    events.write_text(json.dumps(told))
    assert foldline("import", str(events)).returncode == 0
    heading, line = foldline("segments", "members", "buyers").stdout.splitlines()
    assert heading == "profile_id,user_id,email,phone,external_id,anonymous_id,entered_at"
    assert line.split(",")[1] == "'=u-1"
    refused = foldline("segments", "members", "nobody")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no segment 'nobody'" in refused.stderr
