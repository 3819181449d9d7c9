"""Definitions of segments are read back as they were recorded, and never refer in a circle."""

from __future__ import annotations

from graphlib import TopologicalSorter
from itertools import count
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from application.definitions.segments import SegmentService
from application.definitions.store import CommandContext
from domain.core.errors import Conflict, InvalidRequest, NotFound
from domain.definitions.definition import DefinitionVersion
from domain.segments.segment import Segment
from tests import examples
from tests.fix_ledger import Bench

IDS = ("a", "b", "c", "d")
CONTEXT = CommandContext("key-1")

_workspaces = count(1)

ids = st.sampled_from(IDS)


class Step(NamedTuple):
    id: str
    definition: DefinitionVersion | None
    """None to archive the segment."""

    version: int | None


def referring_to(segments: list[str]) -> bytes:
    inner = ", ".join(f'{{"none": [{{"segment": "{segment}"}}]}}' for segment in segments)
    return f'{{"any": [{inner}]}}'.encode()


conditions = st.lists(ids, max_size=2).map(referring_to) | st.sampled_from([b"", b'{"event": "x"}'])
definitions = st.builds(DefinitionVersion, st.sampled_from(["One", "Other"]), document=conditions)
steps = st.builds(
    Step,
    ids,
    st.one_of(definitions, definitions, definitions, st.none()),
    st.none() | st.integers(0, 2),
)


@examples.on_one_database(0.3)
@given(steps=st.lists(steps, max_size=14))
def test_definitions_are_read_back_as_they_were_recorded(bench: Bench, steps: list[Step]) -> None:
    workspace = bench.workspaces.create(f"w-{next(_workspaces)}").id
    segments, current = SegmentService(bench.ledger), {id_: Segment(id_) for id_ in IDS}
    for id_, definition, version in steps:
        before, head = current[id_], bench.ledger.heads()[workspace]
        try:
            if definition is None:
                stored = segments.archive(workspace, id_, CONTEXT, version=version)
            else:
                stored = segments.define(workspace, id_, definition, CONTEXT, version=version)
        except (Conflict, InvalidRequest, NotFound):
            assert bench.ledger.heads()[workspace] == head
            continue
        current[id_] = stored.state
        assert stored.state.version == before.version + stored.changed
        assert stored.state.archived == (definition is None)
        assert stored.state.definition == (definition or before.definition)
        assert bench.ledger.heads()[workspace] == head + stored.changed
        assert version in {None, before.version}
    assert {id_: segments.find(workspace, id_) for id_ in IDS} == current
    references = {
        segment.id: segment.referenced_segments for segment in current.values() if segment.exists
    }
    TopologicalSorter(references).prepare()  # raises CycleError
    assert all(referenced <= references.keys() for referenced in references.values())
