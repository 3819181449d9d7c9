"""A request with many messages holds up no other request of the same process."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from interfaces.http.app import Application
from interfaces.http.ingest import MESSAGES_PER_TURN, Ingest
from tests.integration.http.serving import Served
from tests.serving import basic


async def send(app: Application, key: str, path: str, document: dict[str, Any]) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in basic(key).items()]
    scope = {
        "type": "http",
        "scheme": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
    }
    answers: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(document).encode()}

    async def answer(message: dict[str, Any]) -> None:
        answers.append(message)

    await app(scope, receive, answer)
    assert answers[0]["status"] == 200


def message(number: int) -> dict[str, Any]:
    return {"type": "track", "event": "E", "userId": "u", "messageId": f"m-{number}"}


def test_a_small_request_is_submitted_before_a_large_one_that_came_first(served: Served) -> None:
    sizes, commits = list[int](), served.service.ledger.commits
    submit = commits.submit

    def noted(workspace, entries, rejections=()):
        sizes.append(len(entries))
        return submit(workspace, entries, rejections)

    commits.submit = noted
    large = {"batch": [message(number) for number in range(2 * MESSAGES_PER_TURN + 1)]}

    app, key = Application(served.app.api, Ingest(served.service)), served.keys["write"]

    async def requests() -> None:
        await send(app, key, "/v1/track", message(-1))  # now the key is known
        await asyncio.gather(
            send(app, key, "/v1/batch", large), send(app, key, "/v1/track", message(-2))
        )

    asyncio.run(requests())
    assert sizes == [1, 1, len(large["batch"])]
    served.project()
    assert len(served.get("/v1/events?limit=500").json()["events"]) == sum(sizes)
