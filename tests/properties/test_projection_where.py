"""What PostgreSQL says of a filter is what a plain reading of it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from operator import eq, ge, gt, le, lt
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Connection, column, create_engine, select, text
from sqlalchemy.dialects.postgresql import JSONB

from projections.kit import where
from tests import examples

ORDER = {"=": eq, ">": gt, ">=": ge, "<": lt, "<=": le}

names = st.sampled_from(["a", "b", 'q"', "a b", "ä", "$value", "items"])
scalars = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        1.5,
        10,
        "",
        "1",
        "x",
        "xy",
        "true",
        "null",
        "ä",
        "\U0001f600",
        "\ufffe",
    ]
)
documents = st.dictionaries(
    names,
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)
paths = st.lists(names | st.none(), min_size=1, max_size=3)


def reached(value: Any, path: list[str | None]) -> list[Any]:
    """The oracle: every value at the end of the path."""
    if not path:
        return [value]
    step, *rest = path
    if step is None:
        return (
            [it for each in value for it in reached(each, rest)] if isinstance(value, list) else []
        )
    return reached(value[step], rest) if isinstance(value, dict) and step in value else []


def kind(value: Any) -> type:
    return float if type(value) is int else type(value)


def holds(document: Any, path: list[str | None], operator: str, wanted: Any) -> bool:
    found = reached(document, path)
    if operator in ("exists", "not exists"):
        return bool(found) == (operator == "exists")
    if operator == "!=":
        return not holds(document, path, "=", wanted)
    return any(kind(it) is kind(wanted) and ORDER[operator](it, wanted) for it in found)


@pytest.fixture
def tx(postgres_dsn: str) -> Iterator[Connection]:
    engine = create_engine(postgres_dsn.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def is_selected(tx: Connection, document: Any, filter_: str) -> bool:
    wanted = select(where.sql_condition(column("document", JSONB), filter_))
    given_ = text("(SELECT CAST(:it AS jsonb) AS document) AS given")
    return tx.execute(wanted.select_from(given_), {"it": json.dumps(document)}).scalar_one()


@examples.on_one_database(0.4)
@given(
    document=documents,
    path=paths,
    operator=st.sampled_from([*ORDER, "!=", "exists", "not exists"]),
    wanted=scalars,
)
@example(document={"a": [1, 2]}, path=["a"], operator="=", wanted=1)
@example(document={"a": [{"b": 1}, 5, {}]}, path=["a", None, "b"], operator="=", wanted=1)
@example(document={"a": {"b": 1}}, path=["a", None, "b"], operator="=", wanted=1)
@example(document={}, path=["a"], operator="!=", wanted=None)
def test_a_filter_holds_where_a_plain_reading_says_so(tx, document, path, operator, wanted):
    if operator in (">", ">=", "<", "<=") and (wanted is None or isinstance(wanted, bool)):
        wanted = 1
    written = "properties" + "".join("[]" if it is None else where.path_step(it) for it in path)
    written += f" {operator}" if "exists" in operator else f"{operator}{json.dumps(wanted)}"

    assert is_selected(tx, document, written) == holds(document, path, operator, wanted)


@pytest.mark.parametrize(
    ("document", "filter_", "answer"),
    [
        ({"total": 0.1}, "properties.total=0.1", True),
        ({"total": 0.30000000000000004}, "properties.total=0.3", False),
        ({"total": 1}, "properties.total=1.0", True),
        ({"total": "1"}, "properties.total=1", False),
        ({"total": 1}, 'properties.total="1"', False),
        ({"a": "x y"}, "properties.a=x y", True),
        ({"a": "b"}, "properties.a>a", True),
        ({"a": None}, "properties.a exists", True),
        ({"tags": ["a", "b"]}, "properties.tags[]=b", True),
        ({"tags": ["a", "b"]}, "properties.tags[]!=b", False),
        ({"tags": []}, "properties.tags[]!=b", True),
    ],
)
def test_filters_that_readers_wonder_about(tx, document, filter_, answer):
    assert is_selected(tx, document, filter_) is answer
