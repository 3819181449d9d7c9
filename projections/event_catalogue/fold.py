"""Applies a batch of messages to the catalogue."""

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
"""Calls that are events; the others are about a profile's attributes and identity."""

# Each statement takes all its rows as one JSON parameter: one plan, whatever the batch.  Rows are
# sorted by key, so that two writers can never wait for each other.
_ADD_EVENT_TYPES = text(f"""
INSERT INTO {event_type} AS stored
SELECT :workspace, name, kind, first_seen, last_seen, count FROM json_to_recordset(:rows)
    AS input (name text, kind text, first_seen timestamptz, last_seen timestamptz, count bigint)
ON CONFLICT (workspace, name) DO UPDATE SET
    kind = least(stored.kind, excluded.kind),
    first_seen = least(stored.first_seen, excluded.first_seen),
    last_seen = greatest(stored.last_seen, excluded.last_seen),
    count = stored.count + excluded.count
""")

_ADD_DAYS = text(f"""
INSERT INTO {day} AS stored
SELECT :workspace, name, day, count FROM json_to_recordset(:rows)
    AS input (name text, day date, count bigint)
ON CONFLICT (workspace, name, day) DO UPDATE SET count = stored.count + excluded.count
""")

_ADD_PROPERTIES = text(f"""
INSERT INTO {property_} AS stored (workspace, name, path, {", ".join(f'"{type_}"' for type_ in TYPES)}, samples)
SELECT :workspace, name, path, {", ".join(f'"{type_}"' for type_ in TYPES)}, samples
FROM json_to_recordset(:rows)
    AS input (name text, path text, {", ".join(f'"{type_}" bigint' for type_ in TYPES)}, samples text[])
ON CONFLICT (workspace, name, path) DO UPDATE SET
    {", ".join(f'"{type_}" = stored."{type_}" + excluded."{type_}"' for type_ in TYPES)},
    samples = CASE WHEN excluded.samples <@ stored.samples THEN stored.samples ELSE ARRAY(
        SELECT DISTINCT sample FROM unnest(stored.samples || excluded.samples) AS sample
        ORDER BY sample LIMIT {survey.MAX_SAMPLES}) END
RETURNING name, (xmax = 0) AS is_new
""")

# A path that is dropped can never return, because stored paths are only replaced by lesser ones: which paths
# are stored, and their counts, do not depend on the order of arrival.
_DROP_EXCESS = text(f"""
DELETE FROM {property_} AS stored USING (
    SELECT name, path, row_number() OVER (PARTITION BY name ORDER BY path) AS rank
    FROM {property_} WHERE workspace = :workspace AND name = ANY(:names)
) AS ranked
WHERE stored.workspace = :workspace AND stored.name = ranked.name AND stored.path = ranked.path
    AND ranked.rank > {survey.MAX_PATHS}
""")


def apply(tx: Connection, batch: Batch) -> None:
    """Counts the events of the batch, and surveys their properties."""
    by_name: dict[str, list[DecodedMessage]] = defaultdict(list)
    for message in batch.messages():
        if message.event.kind in EVENT_KINDS:
            by_name[message.document.name].append(message)
    names = sorted(by_name)
    if not names:
        return
    _upsert(tx, _ADD_EVENT_TYPES, batch.workspace, [_event_type_row(n, by_name[n]) for n in names])
    _upsert(
        tx, _ADD_DAYS, batch.workspace, [row for n in names for row in _day_rows(n, by_name[n])]
    )
    properties = [row for n in names for row in _property_rows(n, by_name[n])]
    if properties:
        added = _upsert(tx, _ADD_PROPERTIES, batch.workspace, properties)
        grown = sorted({name for name, is_new in added if is_new})
        if grown:
            tx.execute(_DROP_EXCESS, {"workspace": batch.workspace, "names": grown})


def _upsert(tx: Connection, statement: Any, workspace: int, rows: Sequence[dict[str, Any]]) -> Any:
    document = msgspec.json.encode(rows).decode()
    return tx.execute(statement, {"workspace": workspace, "rows": document})


def _event_type_row(name: str, messages: Sequence[DecodedMessage]) -> dict[str, Any]:
    times = [message.event.occurred_at for message in messages]
    return {
        "name": name,
        "kind": min({message.event.kind for message in messages}),
        "first_seen": min(times),
        "last_seen": max(times),
        "count": len(messages),
    }


def _day_rows(name: str, messages: Sequence[DecodedMessage]) -> list[dict[str, Any]]:
    counts = Counter([_utc(message.event.occurred_at).date() for message in messages])
    return [{"name": name, "day": date, "count": counts[date]} for date in sorted(counts)]


def _utc(instant: datetime) -> datetime:
    return instant if instant.tzinfo is UTC else instant.astimezone(UTC)


def _property_rows(name: str, messages: Sequence[DecodedMessage]) -> list[dict[str, Any]]:
    by_path = survey.survey_properties([message.document.properties for message in messages])
    return [
        {
            "name": name,
            "path": path,
            **{kind: by_path[path].counts.get(kind, 0) for kind in TYPES},
            "samples": by_path[path].encode_samples(),
        }
        for path in sorted(by_path)
    ]
