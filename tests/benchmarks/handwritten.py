"""The yardstick of queries: hand-written SQL for three answers, behind a bare HTTP server.

It uses the timeline's table and indexes, but has no keys, no validation, no snapshots and no cursors.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import uvicorn
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from projections.timeline.tables import timeline

LIMIT = 50

_SELECT = f"""
SELECT id, position, message_id, kind, name, stream, occurred_at, received_at, recorded_at, channel,
    session_id, source, properties::text AS properties
FROM {timeline}
WHERE workspace = %(workspace)s
"""

_CONDITIONS = {
    "before": "(occurred_at, position) < (%(before)s, %(position)s)",
    "stream": "stream = %(stream)s",
    "name": "name = %(name)s",
    "from": "occurred_at >= %(from)s",
    "to": "occurred_at < %(to)s",
    "channel": "channel = %(channel)s",
    "total_over": "(properties->'total')::numeric > %(total_over)s",
    "with_item": """properties @> jsonb_build_object('items', jsonb_build_array(
        jsonb_build_object('type', %(with_item)s::text)))""",
}

_TYPES = {"before": datetime, "from": datetime, "to": datetime, "stream": UUID}
_TYPES |= {"position": int, "workspace": int, "total_over": int}


def query(params: dict[str, Any]) -> str:
    """Returns the SQL for the given parameters."""
    filters = "".join(
        f" AND {condition}" for name, condition in _CONDITIONS.items() if name in params
    )
    return f"{_SELECT}{filters} ORDER BY occurred_at DESC, position DESC LIMIT {LIMIT + 1}"


def fetch(connection: psycopg.Connection[Any], params: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the rows of the query."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query(params), params).fetchall()


def application(dsn: str) -> Starlette:
    """Returns the server: ``GET /events`` with the names of `_CONDITIONS` as parameters."""
    pool = ConnectionPool(dsn, min_size=8, max_size=8, kwargs={"autocommit": True}, open=True)

    def answer(params: dict[str, Any]) -> bytes:
        with pool.connection() as connection:
            rows = fetch(connection, params)[:LIMIT]
        for row in rows:
            row["properties"] = msgspec.Raw(row["properties"].encode())
        return msgspec.json.encode({"events": rows})

    async def events(request: Request) -> Response:
        params = msgspec.convert(dict(request.query_params), dict[str, str])
        typed = {
            name: msgspec.convert(text, _TYPES.get(name, str), strict=False)
            for name, text in params.items()
        }
        return Response(await run_in_threadpool(answer, typed), media_type="application/json")

    return Starlette(routes=[Route("/events", events)])


if __name__ == "__main__":
    uvicorn.run(
        application(sys.argv[1]),
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="error",
    )
