"""What the API declares of a kind of definitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from application.definitions.service import DefinitionService
from application.definitions.store import CommandContext, DefinitionResult
from domain.definitions.definition import Definition, DefinitionVersion
from interfaces.http.kit.definition_schemas import Revision
from interfaces.service import Service

Answer = Callable[[int, DefinitionResult[Any]], Mapping[str, Any]]
"""Returns what an answer may show, of the workspace and the result of a command."""


@dataclass(frozen=True)
class Command:
    """A route that changes a definition."""

    method: Literal["POST", "PUT", "DELETE"]
    path: str
    operation_id: str
    summary: str
    _: KW_ONLY
    body: type[BaseModel]
    answer: type[BaseModel] | None
    """Model of the answer; None: it has no body."""

    errors: Sequence[int] = (400, 401, 403, 404, 409, 413, 503)
    status: int = 200
    """Status if something changed; otherwise 200."""

    run: Callable[[int, str, Any, CommandContext], DefinitionResult[Any]]
    """Executes it for a workspace, the id in the path, the body and its context."""


class Schemas(NamedTuple):
    """Models of a kind of definitions."""

    path: type[BaseModel]
    create: type[BaseModel]
    replace: type[BaseModel]
    answer: type[BaseModel]
    revision: type[Revision]
    revisions: type[BaseModel] | None
    """The list of changes; None: this path has none."""


class Summaries(NamedTuple):
    """What the routes of a kind of definitions do."""

    create: str
    replace: str
    archive: str
    history: str


@dataclass(frozen=True)
class Resource:
    """One kind of definitions as the API serves it: what differs from the other kinds."""

    collection: str
    """Path of all of them, such as ``/v1/segments``."""

    noun: str
    """Noun of operation ids."""

    tag: str
    commands: Callable[[Service], DefinitionService[Any]]
    _: KW_ONLY
    schemas: Schemas
    summaries: Summaries
    verbs: tuple[str, str, str] = ("create", "define", "archive")
    """Verbs of operation ids: to create, replace and archive."""

    created: type[BaseModel] | None = None
    """Model of the answer to a creation, if it differs."""

    archived: type[BaseModel] | None = None
    """Model of the answer to an archival; None: it has no body."""

    definition_json: Callable[[DefinitionVersion], Mapping[str, Any]]
    answer_json: Callable[[Service], Answer] | None = None
    """Returns how answers are made, if not by `result_json`."""

    state_json: Callable[[Any], Mapping[str, Any]] = lambda _: {}
    """Returns what an answer shows besides the definition, such as whether a rule is enabled."""

    create_options: Callable[[Any], Mapping[str, Any]] = lambda _: {}
    """Returns the arguments of a creation that only this kind has, of its body."""

    more_commands: Callable[[Any], Sequence[Command]] = lambda _: ()
    """Returns the commands that only this kind has."""

    replace_errors: Sequence[int] = (400, 401, 403, 409, 413, 503)
    deprecated: bool | None = None

    @property
    def path(self) -> str:
        """Path of one of them."""
        return f"{self.collection}/{{id}}"

    def result_json(self, result: DefinitionResult[Any]) -> dict[str, Any]:
        """Return the JSON form of a definition after a change."""
        state: Definition = result.state
        assert state.definition is not None
        return {
            "id": state.id,
            **self.definition_json(state.definition),
            **self.state_json(state),
            "archived": state.archived,
            "version": state.version,
            "changed": result.changed,
            "position": result.position,
        }
