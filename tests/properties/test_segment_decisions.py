"""Whatever is decided about segments: the ledger gives back what was decided, and no circle gets in."""

from __future__ import annotations

from graphlib import TopologicalSorter
from itertools import count
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from application.definitions.segments import SegmentService
from application.definitions.store import CommandContext
from domain.core.errors import Conflict, InvalidRequest, NotFound
from domain.segments.segment import Segment, SegmentVersion
from tests import examples
from tests.fix_ledger import Bench

IDS = ("a", "b", "c", "d")
BY = CommandContext("key-1")

_workspaces = count(1)

ids = st.sampled_from(IDS)


class Step(NamedTuple):
    id: str
    wanted: SegmentVersion | None
    """None: to be archived."""

    version: int | None


def asking(segments: list[str]) -> bytes:
    inner = ", ".join(f'{{"none": [{{"segment": "{it}"}}]}}' for it in segments)
    return f'{{"any": [{inner}]}}'.encode()


conditions = st.lists(ids, max_size=2).map(asking) | st.sampled_from([b"", b'{"event": "x"}'])
definitions = st.builds(SegmentVersion, st.sampled_from(["One", "Other"]), condition=conditions)
steps = st.builds(
    Step,
    ids,
    st.one_of(definitions, definitions, definitions, st.none()),
    st.none() | st.integers(0, 2),
)


@examples.on_one_database(0.3)
@given(decisions=st.lists(steps, max_size=14))
def test_the_ledger_gives_back_what_was_decided(bench: Bench, decisions: list[Step]) -> None:
    workspace = bench.workspaces.create(f"w-{next(_workspaces)}").id
    segments, known = SegmentService(bench.ledger), {it: Segment(it) for it in IDS}
    for id_, wanted, version in decisions:
        before, head = known[id_], bench.ledger.heads()[workspace]
        try:
            if wanted is None:
                made = segments.archive(workspace, id_, BY, version=version)
            else:
                made = segments.define(workspace, id_, wanted, BY, version=version)
        except (Conflict, InvalidRequest, NotFound):
            assert bench.ledger.heads()[workspace] == head
            continue
        known[id_] = made.segment
        assert made.segment.version == before.version + made.changed
        assert made.segment.archived == (wanted is None)
        assert made.segment.definition == (wanted or before.definition)
        assert bench.ledger.heads()[workspace] == head + made.changed
        assert version in {None, before.version}
    assert {it: segments.segment(workspace, it) for it in IDS} == known
    there = {it.id: it.referenced_segments for it in known.values() if it.exists}
    TopologicalSorter(there).prepare()  # raises CycleError
    assert all(asked <= there.keys() for asked in there.values())
