"""Models and context shared by commands that change a definition."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.requests import Request

from application.definitions.store import CommandContext
from interfaces.http.kit import idempotency
from interfaces.http.kit.auth import authenticated_key

ResourceId = Annotated[
    str, Field(description="1 to 64 of a-z, 0-9, - and _, such as `big-spenders`")
]


def _reject_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL")
    return text


_without_nul = AfterValidator(_reject_nul)

NulFreeText = Annotated[str, _without_nul]
CommandReason = Annotated[
    str,
    Field(
        max_length=500,
        description="Reason; stored permanently, so it must not contain personal data.",
    ),
    _without_nul,
]
ExpectedVersion = Annotated[
    int | None,
    Field(
        ge=0,
        le=2**63 - 1,
        description="Expected current version (0: must not exist yet); 409 on a mismatch.",
    ),
]


class StatusRequest(BaseModel):
    """Request to archive a definition, or to change its status."""

    model_config = ConfigDict(extra="forbid")

    reason: CommandReason = ""
    version: ExpectedVersion = None


def command_context(request: Request, reason: str) -> CommandContext:
    """Return a command's actor, reason and idempotency key."""
    return CommandContext(
        authenticated_key(request).id, reason, idempotency.idempotency_key(request)
    )
