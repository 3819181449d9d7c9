"""The page about errors: codes and their status, and the codes of rejected messages."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import application
import domain
import interfaces
import projections
from docs.reference_pages import markdown
from docs.reference_pages.markdown import code, json_block, table
from domain.core.errors import FoldlineError
from interfaces import wire
from interfaces.http.kit import errors as http_errors
from interfaces.http.kit.errors import STATUS_BY_ERROR, problem_response
from interfaces.wire.base import InvalidBody, InvalidMessage, ParseRejection

_INTRODUCTION = """\
# Errors

Every error of the native API has the same body. Programs compare `code`; `message` says what is wrong and what to do; `details` has the
facts, such as the JSON pointer `path` of a part that is not valid. The command line prints the message and exits with 1.
"""

_STATUSES = """\
## By status

- **400** and **413**: the request cannot be used as it is; sending it again changes nothing.
- **401** and **403**: no valid key, or a key of another kind.
- **404** and **409**: nothing by that name, or it clashes with what is there.
- **503**: nothing was promised; send it again after `Retry-After`.
- **500** `internal_error`: a fault of the server, which has logged it.
"""

_REJECTIONS = """\
## Codes of messages that are not accepted

On the paths of the [wire formats](wire-formats.md) a message that cannot be accepted costs only itself: it is kept with its code, and
`GET /v1/rejected` shows it. A body that is not a list of messages at all is refused as a whole, with a code of the second table. `foldline
import` reports the same codes by line.
"""


class Code(NamedTuple):
    """A code, where it is used, and the message that comes with it."""

    code: str
    where: str
    message: str


def page() -> str:
    """Return the page."""
    messages, bodies = wire_codes()
    return markdown.page(
        _INTRODUCTION,
        json_block(
            {
                "code": "not_found",
                "message": "there is no segment 'vip'",
                "details": {"segment": "vip"},
            }
        ),
        _STATUSES,
        "## Codes of the HTTP API",
        table(
            ("code", "status", "error", "meaning"),
            (
                (code(kind.code), status_of(kind), kind.__name__, markdown.summary(kind))
                for kind in classes()
                if status_of(kind)
            ),
        ),
        "These come from the routing itself:",
        table(
            ("code", "status", "meaning"),
            ((code(it.code), it.where, it.message) for it in routing_codes()),
        ),
        "## Codes of the command line, of workers and of deliveries",
        table(
            ("code", "error", "meaning"),
            (
                (code(kind.code), kind.__name__, markdown.summary(kind))
                for kind in classes()
                if not status_of(kind)
            ),
        ),
        _REJECTIONS,
        _codes(messages),
        "Bodies that are refused as a whole:",
        _codes(bodies),
    )


@cache
def classes() -> tuple[type[FoldlineError], ...]:
    """Return every error class with a code of its own, sorted by status and code."""
    for package in (domain, application, projections, interfaces):
        _import_all(package)
    found = {kind for kind in _below(FoldlineError) if "code" in vars(kind)}
    return tuple(sorted(found, key=lambda kind: (status_of(kind), kind.code)))


def status_of(kind: type[FoldlineError]) -> int:
    """Return the status of an answer with this error; 0 for one that no answer has."""
    return next((STATUS_BY_ERROR[it] for it in kind.__mro__ if it in STATUS_BY_ERROR), 0)


def _import_all(package: ModuleType) -> None:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)


def _below(kind: type[FoldlineError]) -> Iterator[type[FoldlineError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _below(child)


def routing_codes() -> list[Code]:
    """Return the codes that the HTTP layer answers without an error class."""
    return [
        Code(_text(named), _text(status), _text(message))
        for call in _calls(Path(http_errors.__file__), problem_response.__name__)
        for status, named, message in (call.args[:3],)
        if isinstance(named, ast.Constant)
    ]


def wire_codes() -> tuple[list[Code], list[Code]]:
    """Return the codes of refused messages, and those of refused bodies."""
    refusals = (InvalidMessage, ParseRejection), (InvalidBody,)
    messages, bodies = (
        sorted({*_wire_codes(*(it.__name__ for it in kinds))}) for kinds in refusals
    )
    return messages, bodies


def _wire_codes(*kinds: str) -> Iterator[Code]:
    for path in sorted(Path(wire.__path__[0]).rglob("*.py")):
        for call in _calls(path, *kinds):
            named = {it.arg: it.value for it in call.keywords}
            of = [*call.args[:2], *(named[it] for it in ("code", "message") if it in named)]
            if len(of) == 2 and isinstance(of[0], ast.Constant):
                yield Code(_text(of[0]), path.stem, _text(of[1]))


def _codes(codes: list[Code]) -> str:
    merged: dict[tuple[str, str], list[str]] = {}
    for it in codes:
        merged.setdefault((it.code, it.message), []).append(it.where)
    return table(
        ("code", "module", "message"),
        ((code(name), ", ".join(where), message) for (name, message), where in merged.items()),
    )


def _calls(path: Path, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node


def _text(node: ast.expr) -> str:
    """Return the text of a constant or an f-string; what is filled in is shown as an ellipsis."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(it) if isinstance(it, ast.Constant) else "…" for it in node.values)
    return "…"
