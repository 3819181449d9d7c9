"""What Segment's clients need back.

Observed on the wire: exactly 200 (some re-send a batch on 201 or 202); 400 and never 401, 404 or 422 for permanent
errors (some retry all but 400); a JSON body with ``code`` and ``message`` (some fail to read anything else, and retry);
never a redirect (they would send a GET and lose the data).
"""

from __future__ import annotations

from typing import Any

import msgspec

from interfaces.wire.base import ParsedBody
from interfaces.wire.contract import (
    Answer,
    Answers,
    Cors,
    Problem,
    ProblemKind,
    Recorded,
    WireRequest,
)


def answer_success(request: WireRequest, parsed: ParsedBody, recorded: Recorded) -> Answer:
    """Answer 200; 400 for a rejected single message, or for no valid message in strict mode."""
    rejections = parsed.rejections
    strict = parsed.single or request.headers.get(b"x-strict-mode") == b"1"
    if strict and rejections and not parsed.messages:
        first = rejections[0]
        return refuse(Problem(ProblemKind.MESSAGE, first.code, first.message))
    body: dict[str, Any] = {"success": True, "position": recorded.position}
    if recorded.duplicates:
        body["duplicates"] = recorded.duplicates
    if recorded.rejected:
        body["rejected"] = [
            {"index": r.index, "code": r.code, "message": r.message} for r in rejections
        ]
    return Answer(200, msgspec.json.encode(body))


def refuse(problem: Problem) -> Answer:
    """Answer 400; 503 if the client should send the request again."""
    status = 503 if problem.kind is ProblemKind.UNAVAILABLE else 400
    body = {"success": False, "code": problem.code, "message": problem.message}
    return Answer(status, msgspec.json.encode(body))


ANSWERS = Answers(success=answer_success, refuse=refuse)

CORS = Cors(
    methods=b"GET, POST, OPTIONS",
    headers=b"authorization, content-type, content-encoding, x-retry-count, x-strict-mode, anonymousid, sentat",
)
