"""Commands about segments: those of all definitions, and changes to manual lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from application.definitions import manual_lists
from application.definitions.ledger_definitions import (
    SEGMENTS,
    LedgerDefinitions,
    LedgerDefinitionService,
)
from application.definitions.manual_lists import ManualListChange, ManualListResult
from application.definitions.store import CommandContext
from domain.core.errors import Conflict, InvalidRequest
from domain.segments.segment import Segment

MAX_LIST_CHANGES = 1_000
"""Maximum number of profiles that one command adds to a list or removes from it."""


class SegmentService(LedgerDefinitionService[Segment]):
    """Creates, defines and archives segments; of an archived one all members leave."""

    ledger_kind, max_active = SEGMENTS, 1_000

    def change_list(
        self, workspace: int, id_: str, changes: Sequence[ManualListChange], context: CommandContext
    ) -> ManualListResult:
        """Adds profiles to a manual list or removes them, each on its own.

        Raises NotFound if the segment does not exist, Conflict if it is defined by a condition.
        """
        if len(changes) > MAX_LIST_CHANGES:
            raise InvalidRequest(
                f"at most {MAX_LIST_CHANGES:,} profiles per request; split the list",
                limit=MAX_LIST_CHANGES,
                given=len(changes),
            )

        def check(connection: Connection[Any]) -> None:
            definitions = LedgerDefinitions(connection, workspace, self._ledger)
            _require_manual_list(definitions.segment(id_))

        actor = self._actor(context)
        return manual_lists.apply_changes(
            self._ledger, workspace, id_, changes, actor, context.idempotency_key, check
        )


def _require_manual_list(segment: Segment) -> None:
    segment.require_exists()
    if not segment.is_manual:
        raise Conflict(
            f"{segment.id!r} is defined by a condition; only manual lists accept members",
            segment=segment.id,
        )
