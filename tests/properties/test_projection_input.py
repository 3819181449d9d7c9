"""No payload, however broken, stops a read model or loses another event's row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from tests import examples
from tests.builders import tracked
from tests.integration.projections.given import Given
from tests.integration.projections.history import with_payload

_workspaces = count(1)

numbers = st.sampled_from(
    [
        "0",
        "-0",
        "1",
        "1.50",
        "1e2",
        "1E-2",
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "-9007199254740993",
        "9223372036854775808",
        "18446744073709551616",
        "1e308",
        "1e309",
        "9e308",
        "1e400",
        "-1e400",
        "1e-308",
        "1e-400",
        "1e131071",
        "1e-131071",
        "123456789012345678.5",
        "0.12345678901234567890123",
        "NaN",
        "Infinity",
        "-Infinity",
    ]
) | st.integers(1, 6_000).map(lambda digits: "7" * digits)
strings = st.sampled_from(
    [
        r'"\u0000"',
        r'"\ud800"',
        r'"\udfff\ud800"',
        r'"\ud83d\ude00"',
        r'"\\u0000"',
        r'"\\\u0000"',
        '"é"',
    ]
) | st.text().map(json.dumps)
keys = strings | st.sampled_from(['"a"', '"session_id"', '"__proto__"', '"' + "k" * 3_000 + '"'])


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.tuples(keys, inner).map(":".join)
    return st.lists(members, max_size=4).map(lambda texts: "{" + ",".join(texts) + "}")


documents = st.recursive(
    numbers
    | strings
    | st.sampled_from(["null", "true"])
    | st.sampled_from([10, 60, 300, 5_000, 100_000]).map(nested),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda texts: "[" + ",".join(texts) + "]") | objects(inner)
    ),
    max_leaves=8,
)
payloads = st.tuples(documents | objects(documents), documents, documents, documents).map(
    lambda parts: (
        f'{{"properties":{parts[0]},"context":{{"sessionId":{parts[1]},"library":{parts[2]}}},'
        f'"name":{parts[3]}}}'
    )
)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A payload as a client may send it, sometimes with some bytes changed."""
    document = bytearray(draw(payloads).encode("utf-8", "surrogatepass"))
    if draw(st.booleans()):
        for _ in range(draw(st.integers(1, 3))):
            document[draw(st.integers(0, len(document) - 1))] = draw(st.integers(0, 255))
    return bytes(document)


@pytest.fixture
def models(database: str) -> Iterator[Given]:
    engine = create_engine(database.replace("postgresql://", "postgresql+psycopg://", 1))
    yield Given(engine)
    engine.dispose()


@examples.on_one_database(0.3)
@given(
    payloads=st.lists(broken() | st.binary(max_size=50), min_size=1, max_size=4),
    kind=st.sampled_from(["track", "page"]),
)
def test_any_payload_is_projected_listed_and_shown(models, payloads, kind):
    workspace = next(_workspaces)
    bad = [with_payload(tracked("Bad", kind=kind), payload) for payload in payloads]
    history = models.messages(tracked("Good"), *bad, tracked("Good"), workspace=workspace)

    assert sorted(models.names(workspace=workspace, limit=500)) == ["Bad"] * len(bad) + ["Good"] * 2
    for recorded in history:
        shown = models.ask("/events/{id}", id=str(recorded.event.id), workspace=workspace)
        if shown["raw_encoding"] == "utf-8":
            assert shown["raw"].encode() == recorded.event.payload
    counts = {
        event_type["name"]: event_type["count"]
        for event_type in models.ask("/event-types", workspace=workspace)["event_types"]
    }
    assert counts == {"Good": 2, "Bad": len(bad)}
