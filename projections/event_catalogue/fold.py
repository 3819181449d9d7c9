"""How a batch of messages is added to the catalogue."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from projections.event_catalogue import survey
from projections.event_catalogue.tables import TYPES, day, event_type, property_
from projections.runtime.batch import Batch, DecodedMessage

EVENT_KINDS = frozenset(("track", "page", "screen"))
"""Calls that say what happened; the others say who somebody is."""

# Each statement takes all its rows as one JSON parameter: one plan, whatever the batch.  Rows are
# sorted by key, so that two writers can never wait for each other.
_ADD_EVENT_TYPES = text(f"""
INSERT INTO {event_type} AS known
SELECT :workspace, name, kind, first_seen, last_seen, count FROM json_to_recordset(:rows)
    AS new(name text, kind text, first_seen timestamptz, last_seen timestamptz, count bigint)
ON CONFLICT (workspace, name) DO UPDATE SET
    kind = least(known.kind, excluded.kind),
    first_seen = least(known.first_seen, excluded.first_seen),
    last_seen = greatest(known.last_seen, excluded.last_seen),
    count = known.count + excluded.count
""")

_ADD_DAYS = text(f"""
INSERT INTO {day} AS known
SELECT :workspace, name, day, count FROM json_to_recordset(:rows)
    AS new(name text, day date, count bigint)
ON CONFLICT (workspace, name, day) DO UPDATE SET count = known.count + excluded.count
""")

_ADD_PROPERTIES = text(f"""
INSERT INTO {property_} AS known (workspace, name, path, {", ".join(f'"{it}"' for it in TYPES)}, samples)
SELECT :workspace, name, path, {", ".join(f'"{it}"' for it in TYPES)}, samples
FROM json_to_recordset(:rows)
    AS new(name text, path text, {", ".join(f'"{it}" bigint' for it in TYPES)}, samples text[])
ON CONFLICT (workspace, name, path) DO UPDATE SET
    {", ".join(f'"{it}" = known."{it}" + excluded."{it}"' for it in TYPES)},
    samples = CASE WHEN excluded.samples <@ known.samples THEN known.samples ELSE ARRAY(
        SELECT DISTINCT it FROM unnest(known.samples || excluded.samples) AS it
        ORDER BY it LIMIT {survey.MAX_SAMPLES}) END
RETURNING name, (xmax = 0) AS is_new
""")

# Paths only ever come in below a kept one, so one that falls out has no way back: what is kept,
# and how often it was counted, does not depend on the order of arrival.
_DROP_EXCESS = text(f"""
DELETE FROM {property_} AS known USING (
    SELECT name, path, row_number() OVER (PARTITION BY name ORDER BY path) AS place
    FROM {property_} WHERE workspace = :workspace AND name = ANY(:names)
) AS placed
WHERE known.workspace = :workspace AND known.name = placed.name AND known.path = placed.path
    AND placed.place > {survey.MAX_PATHS}
""")


def apply(tx: Connection, batch: Batch) -> None:
    """Count the events of the batch, and survey their properties."""
    by_name: dict[str, list[DecodedMessage]] = defaultdict(list)
    for message in batch.messages():
        if message.event.kind in EVENT_KINDS:
            by_name[message.document.name].append(message)
    names = sorted(by_name)
    if not names:
        return
    _upsert(
        tx, _ADD_EVENT_TYPES, batch.workspace, [_event_type_row(it, by_name[it]) for it in names]
    )
    _upsert(
        tx, _ADD_DAYS, batch.workspace, [row for it in names for row in _day_rows(it, by_name[it])]
    )
    properties = [row for it in names for row in _property_rows(it, by_name[it])]
    if properties:
        added = _upsert(tx, _ADD_PROPERTIES, batch.workspace, properties)
        grown = sorted({name for name, is_new in added if is_new})
        if grown:
            tx.execute(_DROP_EXCESS, {"workspace": batch.workspace, "names": grown})


def _upsert(tx: Connection, statement: Any, workspace: int, rows: Sequence[dict[str, Any]]) -> Any:
    document = msgspec.json.encode(rows).decode()
    return tx.execute(statement, {"workspace": workspace, "rows": document})


def _event_type_row(name: str, messages: Sequence[DecodedMessage]) -> dict[str, Any]:
    times = [it.event.occurred_at for it in messages]
    return {
        "name": name,
        "kind": min({it.event.kind for it in messages}),
        "first_seen": min(times),
        "last_seen": max(times),
        "count": len(messages),
    }


def _day_rows(name: str, messages: Sequence[DecodedMessage]) -> list[dict[str, Any]]:
    counts = Counter([_utc(it.event.occurred_at).date() for it in messages])
    return [{"name": name, "day": each, "count": counts[each]} for each in sorted(counts)]


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def _property_rows(name: str, messages: Sequence[DecodedMessage]) -> list[dict[str, Any]]:
    found = survey.survey_properties([it.document.properties for it in messages])
    return [
        {
            "name": name,
            "path": path,
            **{kind: found[path].counts.get(kind, 0) for kind in TYPES},
            "samples": found[path].encode_samples(),
        }
        for path in sorted(found)
    ]
