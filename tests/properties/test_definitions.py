"""Definitions of every kind, against a model: versions, archival, repeated keys and history."""

from __future__ import annotations

from itertools import count
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.automation.rules import RuleService
from application.definitions.computed_attributes import ComputedAttributeService
from application.definitions.saved_funnels import SavedFunnelService
from application.definitions.segments import SegmentService
from application.definitions.service import DefinitionService
from application.definitions.store import CommandContext
from application.deliveries.addresses import AddressGuard
from application.deliveries.encryption import SecretCipher
from application.deliveries.endpoints import EndpointService
from domain.core.errors import Conflict, NotFound
from domain.definitions.definition import DefinitionVersion
from domain.delivery.outbound import EndpointDefinition, outbound_version
from tests import examples
from tests.fix_ledger import Bench

_workspaces = count(1)

KINDS: dict[str, tuple[Any, list[DefinitionVersion]]] = {
    "segment": (
        lambda bench: SegmentService(bench.ledger),
        [DefinitionVersion("x", "", b'{"event": "%d"}' % n) for n in range(3)],
    ),
    "computed attribute": (
        lambda bench: ComputedAttributeService(bench.ledger),
        [
            DefinitionVersion("x", "", b'{"computed": {"fn": "count", "event": "%d"}}' % n)
            for n in range(3)
        ],
    ),
    "funnel": (
        lambda bench: SavedFunnelService(bench.ledger),
        [
            DefinitionVersion("x", "", b'{"steps": [{"event": "a"}, {"event": "%d"}]}' % n)
            for n in range(3)
        ],
    ),
    "rule": (
        lambda bench: RuleService(bench.ledger),
        [
            DefinitionVersion(
                "x",
                "",
                b'{"trigger": {"event": "%d"}, "actions": [{"add_tag": {"tag": "x"}}]}' % n,
            )
            for n in range(3)
        ],
    ),
    "endpoint": (
        lambda bench: EndpointService(bench.store, AddressGuard(()), SecretCipher(bytes(32))),
        [outbound_version(EndpointDefinition(f"https://example.com/{n}")) for n in range(3)],
    ),
}
"""By kind, its service and three definitions.  Subscriptions differ from endpoints in their row only."""


class Step(NamedTuple):
    """A command about one of two definitions."""

    id: str
    definition: int | None
    """Which definition to put into effect; None: archive."""

    create: bool
    version: int | None
    key: str | None


steps = st.builds(
    Step,
    st.sampled_from("ab"),
    st.none() | st.integers(0, 2),
    st.booleans(),
    st.none() | st.integers(0, 3),
    st.none() | st.sampled_from(["k-1", "k-2"]),
)


class Model:
    """What the definitions are, by the changes that were accepted."""

    def __init__(self, *, reuses_ids: bool, creates_by_define: bool) -> None:
        self.changes: dict[str, list[int | None]] = {"a": [], "b": []}
        self.keys: dict[str, tuple[str, int | None]] = {}
        self._reuses_ids, self._creates_by_define = reuses_ids, creates_by_define

    def expect(self, step: Step) -> str:
        """Apply a step; return `changed`, `unchanged`, or the class of the error."""
        changes = self.changes[step.id]
        active = bool(changes) and changes[-1] is not None
        creates = step.create and step.definition is not None
        if step.key in self.keys:
            same = self.keys[step.key] == (step.id, step.definition)
            return "unchanged" if same else "Conflict"
        if creates and (active if self._reuses_ids else changes):
            return "Conflict"
        if not (active or creates) and (step.definition is None or not self._creates_by_define):
            return "NotFound"
        if not creates and step.version not in {None, len(changes)}:
            return "Conflict"
        if active and step.definition == changes[-1]:
            return "unchanged"
        changes.append(step.definition)
        if step.key is not None:
            self.keys[step.key] = (step.id, step.definition)
        return "changed"


def execute(
    service: DefinitionService[Any], workspace: int, step: Step, versions: list[DefinitionVersion]
) -> str:
    context = CommandContext("key-1", "a test", step.key)
    try:
        if step.definition is None:
            result = service.archive(workspace, step.id, context, version=step.version)
        elif step.create:
            result = service.create(workspace, step.id, versions[step.definition], context)
        else:
            result = service.define(
                workspace, step.id, versions[step.definition], context, version=step.version
            )
    except (Conflict, NotFound) as error:
        return type(error).__name__
    return "changed" if result.changed else "unchanged"


@pytest.mark.parametrize("kind", KINDS)
@examples.on_one_database(0.1)
@given(steps=st.lists(steps, max_size=12))
def test_definitions_behave_like_the_model(bench: Bench, kind: str, steps: list[Step]) -> None:
    workspace = bench.workspaces.create(f"w-{next(_workspaces)}").id
    make, versions = KINDS[kind]
    service = make(bench)
    model = Model(reuses_ids=service.reuses_ids, creates_by_define=service.creates_by_define)
    for step in steps:
        assert execute(service, workspace, step, versions) == model.expect(step), step
    for id_, changes in model.changes.items():
        recorded = service.history(workspace, id_, limit=99)
        assert [r.version for r in recorded] == [*range(1, len(changes) + 1)]
        contents = [service.kind.content_of(r.event) for r in recorded]
        assert contents == [None if n is None else versions[n] for n in changes]
