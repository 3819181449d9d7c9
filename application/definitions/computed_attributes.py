"""Commands about computed attributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from application.definitions.ledger_definitions import (
    COMPUTED_ATTRIBUTES,
    PAGE_SIZE,
    LedgerDefinitionService,
)
from application.definitions.store import definition_event
from domain.events.recorded import RecordedEvent
from domain.segments.computed_attribute import ComputedAttribute


class ComputedAttributeService(LedgerDefinitionService[ComputedAttribute]):
    """Creates, defines and archives computed attributes; archived, profiles show no value."""

    ledger_kind, max_active = COMPUTED_ATTRIBUTES, 200

    def history(
        self, workspace: int, id_: str, *, after: int = 0, limit: int
    ) -> Sequence[RecordedEvent]:
        """Returns the events of an attribute after a position, numbered among its own.

        All attributes of a workspace share a stream.
        """
        own = (r for r in self._stream(workspace, id_) if self._is_about(r, id_))
        numbered = (r._replace(version=number) for number, r in enumerate(own, 1))
        return [recorded for recorded in numbered if recorded.position > after][:limit]

    def _is_about(self, recorded: RecordedEvent, id_: str) -> bool:
        return self.kind.id_in(definition_event(recorded)) == id_

    def _stream(self, workspace: int, id_: str) -> Iterator[RecordedEvent]:
        after = 0
        while page := super().history(workspace, id_, after=after, limit=PAGE_SIZE):
            yield from page
            after = page[-1].position
