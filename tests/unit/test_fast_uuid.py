"""UUIDs from bytes equal those of the standard library."""

from __future__ import annotations

import pickle
from uuid import UUID

import pytest

from domain.core.fast_uuid import uuid_from_bytes


@pytest.mark.parametrize("value", [bytes(16), bytes(range(16)), b"\xff" * 16])
def test_a_uuid_equals_that_of_the_constructor(value: bytes) -> None:
    uuid, expected = uuid_from_bytes(value), UUID(bytes=value)
    assert uuid == expected
    assert (hash(uuid), str(uuid), uuid.bytes) == (hash(expected), str(expected), value)
    assert uuid.is_safe == expected.is_safe
    assert pickle.loads(pickle.dumps(uuid)) == expected
