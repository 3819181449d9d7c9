from __future__ import annotations

import inspect
import pkgutil

import projections
from projections import PROJECTIONS
from projections.runtime.projection import Projection


def test_no_read_model_is_forgotten_in_the_registry():
    found = []
    for module in pkgutil.walk_packages(projections.__path__, "projections."):
        loaded = __import__(module.name, fromlist=["projection"])
        found += [it for it in vars(loaded).values() if isinstance(it, Projection)]
    assert {str(it) for it in found} == {str(it) for it in PROJECTIONS}


def test_names_and_paths_are_taken_once():
    names = [it.name for it in PROJECTIONS]
    paths = [query.path for it in PROJECTIONS for query in it.queries]
    assert len(set(names)) == len(names)
    assert len(set(paths)) == len(paths)


def test_every_query_says_what_it_is_for():
    for projection in PROJECTIONS:
        for query in projection.queries:
            assert query.path.startswith("/")
            assert query.summary
            assert inspect.getdoc(query.handler)
            assert query.response_model.model_json_schema()
            for name, field in query.params.model_fields.items():
                assert field.description or name == "limit", f"{query.path}: {name} says nothing"


def test_no_table_can_be_dropped_from_under_another():
    for projection in PROJECTIONS:
        for table in projection.metadata.sorted_tables:
            assert not table.foreign_keys
            assert "workspace" in {column.name for column in table.primary_key}
