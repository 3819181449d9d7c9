"""The registry of wire formats and its HTTP paths."""

from __future__ import annotations

from itertools import count

import pytest

from interfaces.wire import FORMATS
from tests.unit.wire.given import post, track, written


def test_a_format_has_the_name_of_its_module():
    assert list(FORMATS) == ["segment", "ndjson", "csv"]
    assert all(name == format_.name for name, format_ in FORMATS.items())


def test_a_format_has_routes_or_reads_files():
    assert all(wire_format.http or wire_format.read for wire_format in FORMATS.values())


@pytest.mark.parametrize(
    ("short", "long"),
    [("t", "track"), ("i", "identify"), ("p", "page"), ("s", "screen"), ("g", "group"),
     ("a", "alias")],
)  # fmt: skip
def test_long_and_short_paths_are_equal(short, long):
    body = written(track(groupId="g", previousId="p"))
    parsed = [post(f"/v1/{name}", body) for name in (short, long)]
    assert parsed[0] == parsed[1]
    assert parsed[0].messages[0].kind == long


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch"])
def test_every_batch_path_accepts_a_batch(path):
    ids = count()
    parsed = post(
        path,
        b'{"batch":[%b]}' % written(track(messageId=None)),
        default_id=lambda: f"server-{next(ids)}",
    )
    assert [message.message_id for message in parsed.messages] == ["server-0"]
