"""One run of a rule, and what the oracle of rules reads in events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.events import payload
from domain.events.events import (
    MessageEvent,
)
from domain.events.recorded import RecordedEvent
from tests.oracles import values
from tests.oracles.membership import history_of, people


@dataclass
class Run:
    cause: str
    stream: UUID
    set_off: tuple[int, int]
    document: dict[str, Any]
    outcome: str = "waiting"
    reason: str = ""
    due: int | None = None
    taken: int | None = None
    fired: int | None = None


def profiles_in(known: Sequence[RecordedEvent]) -> set[UUID]:
    persons = {it.id: it for it in people(known).values()}
    return {id_ for id_, it in persons.items() if history_of(known, it) is not None}


def filled(audience: Any, document: dict[str, Any]) -> Any:
    if audience and isinstance(audience.get("value"), dict) and "$field" in audience["value"]:
        found = list(values.walk(document, audience["value"]["$field"].split(".")))
        if not found or found[0] is None:
            return False
        return audience | {"value": found[0]}
    return audience


def document_of(event: MessageEvent) -> dict[str, Any]:
    said = payload.parse(event)
    return {"name": said.name, "properties": said.properties}


def compares(it: dict[str, Any], document: dict[str, Any]) -> bool:
    found = values.walk(document, it["path"].replace("[]", ".[]").split("."))
    return values.compares(list(found), it["op"], it.get("value"), 0)
