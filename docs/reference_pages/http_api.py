"""The pages about the native HTTP API: routes, parameters, bodies, answers and errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from http import HTTPStatus
from typing import Any

from docs.reference_pages import markdown, native_api
from docs.reference_pages.json_schema import Schema, closure, fields, type_text
from docs.reference_pages.markdown import code, slug, table
from docs.reference_pages.native_api import Route
from domain.conditions import CONDITIONS

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Events": ("events", "event-types"),
    "Sessions": ("sessions",),
    "Profiles": ("profiles", "suppressions"),
    "Segments": ("segments",),
    "Computed attributes": ("computed-attributes",),
    "Funnels and goals": ("funnels", "channel-funnels", "goals"),
    "Rules": ("rules",),
    "Deliveries": ("endpoints", "deliveries", "streams", "subscriptions"),
    "Operations": (),
}
"""The pages, each with the collections below `/v1` that it is about; the last takes all others."""

_INTRODUCTION = """\
# HTTP API

Queries and commands of the native API are below `/v1`; a running server shows the same at `/docs` and `/openapi.json`. Events come in by the
[wire formats](wire-formats.md), at the paths that their SDKs use. Keys are sent as `Authorization: Bearer KEY`.

- Lists answer `{"<noun>": [...], "next": cursor or null, "projected_to": position}`; send `next` back as `cursor` for the next page.
- Times are RFC 3339 in UTC with microseconds.
- `min_position` waits, for at most five seconds, until the read model has reached a position, such as the one an ingest reply carries.
- An error is `{"code", "message", "details"}`; see [errors](errors.md). An unknown query parameter is a 400.
- A command takes an `Idempotency-Key`; the same key again answers the first outcome.
"""


@dataclass(frozen=True)
class Group:
    """One page of routes."""

    title: str
    routes: tuple[Route, ...]

    @property
    def slug(self) -> str:
        """The page's name, after `http-`."""
        return slug(self.title)

    def page(self) -> str:
        """Return the page."""
        schemas = native_api.document()["components"]["schemas"]
        models = closure([each.operation for each in self.routes], schemas)
        link = partial(_link, models=models)
        return markdown.page(
            f"# HTTP: {self.title[0].lower()}{self.title[1:]}",
            _list_of(self.routes),
            *(_route(route, link) for route in self.routes),
            "## Models" if models else "",
            *(_model(name, schemas[name], link) for name in models if not _is_elsewhere(name)),
        )


@cache
def groups() -> tuple[Group, ...]:
    """Return the pages of routes."""
    of: dict[str, list[Route]] = {title: [] for title in GROUPS}
    by_noun = {noun: title for title, nouns in GROUPS.items() for noun in nouns}
    *_, others = GROUPS
    for route in native_api.routes():
        noun = route.path.removeprefix("/v1/").partition("/")[0]
        of[by_noun.get(noun, others)].append(route)
    return tuple(Group(title, tuple(routes)) for title, routes in of.items())


def page() -> str:
    """Return the page with all routes, and where each is described."""
    entries = "\n".join(f"http-{group.slug}" for group in groups())
    others = ", ".join(map(code, native_api.undocumented()))
    return markdown.page(
        _INTRODUCTION,
        f"```{{toctree}}\n:hidden:\n\n{entries}\n```",
        *(
            markdown.page(f"## {group.title}", _list_of(group.routes, f"http-{group.slug}.md"))
            for group in groups()
        ),
        f"Not in the OpenAPI document: {others}.",
    )


def _list_of(routes: tuple[Route, ...], page: str = "") -> str:
    return table(
        ("route", "key", "what it does"),
        (
            (
                f"[`{route.method} {route.path}`]({page}#{slug(_title(route))})",
                " or ".join(route.keys),
                route.operation.get("summary", ""),
            )
            for route in routes
        ),
    )


def _title(route: Route) -> str:
    return f"{route.method} {route.path}"


def _route(route: Route, link: Any) -> str:
    operation = route.operation
    key = f"Key: {' or '.join(route.keys)}." if route.keys else "No key."
    return markdown.page(
        f"## {_title(route)}",
        f"{operation.get('summary', '')}. {key}",
        operation.get("description", ""),
        _parameters(operation, link),
        *(
            _body(media, content["schema"], link)
            for media, content in operation.get("requestBody", {}).get("content", {}).items()
        ),
        _answers(operation, link),
    )


def _parameters(operation: Mapping[str, Any], link: Any) -> str:
    return table(
        ("parameter", "in", "type", "default", "meaning"),
        (
            (
                code(each["name"]),
                each["in"],
                type_text(each["schema"], link),
                "required"
                if each.get("required")
                else code(json.dumps(each["schema"]["default"]))
                if each["schema"].get("default") not in (None, [])
                else "",
                each.get("description", ""),
            )
            for each in operation.get("parameters", ())
        ),
    )


def _body(media: str, schema: Schema, link: Any) -> str:
    shown = fields(schema, link) or type_text(schema, link)
    return markdown.page(
        f"Body, `{media}`:", shown, *map(markdown.json_block, schema.get("examples", ()))
    )


def _answers(operation: Mapping[str, Any], link: Any) -> str:
    good, bad = [], []
    for status, answer in operation["responses"].items():
        if int(status) >= 400:
            bad.append(f"{status} {HTTPStatus(int(status)).phrase}")
            continue
        bodies = [
            f"{type_text(content['schema'], link)}"
            + ("" if media == "application/json" else f" (`{media}`)")
            for media, content in answer.get("content", {}).items()
            if content.get("schema")
        ]
        good.append(f"{status} {' or '.join(bodies)}".strip())
    errors = f"Errors: {', '.join(bad)}." if bad else ""
    return f"Answers: {', '.join(good)}. {errors}".strip()


def _model(name: str, schema: Schema, link: Any) -> str:
    described = schema.get("description", "")
    return markdown.page(
        f"### {_short(name)}", described, fields(schema, link) or type_text(schema, link)
    )


def _short(name: str) -> str:
    """Return a model's name without its module, which OpenAPI adds where two have the same name."""
    return name.rpartition("__")[2]


def _is_elsewhere(name: str) -> bool:
    return name == "Problem" or name in {kind.__name__ for kind in CONDITIONS}


def _link(name: str, models: list[str]) -> str:
    if name == "Problem":
        return "[error](errors.md)"
    if _is_elsewhere(name):
        return "[condition](conditions.md)"
    same = [each for each in models if _short(each) == _short(name)]
    repeated = same.index(name) if name in same else 0
    anchor = slug(_short(name)) + (f"-{repeated}" if repeated else "")
    return f"[{_short(name)}](#{anchor})"
