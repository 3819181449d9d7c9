"""The OpenAPI document of the native API, without a database behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest.mock import MagicMock

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import create_engine

from interfaces.http.app import build_api
from projections import PROJECTIONS

Operation = Mapping[str, Any]


@dataclass(frozen=True)
class Route:
    """A method on a path, as the OpenAPI document describes it."""

    method: str
    path: str
    operation: Operation
    keys: tuple[str, ...]
    """The kinds of key that may call it; none if it needs no key."""


@cache
def api() -> FastAPI:
    """Return the application; nothing is asked of its parts, for no request comes."""
    projector = MagicMock(projections=PROJECTIONS)
    service = MagicMock(engine=create_engine("postgresql+psycopg://"), projector=projector)
    return build_api(service, wait_seconds=0)


@cache
def document() -> Mapping[str, Any]:
    """Return the OpenAPI document."""
    return api().openapi()


@cache
def routes() -> tuple[Route, ...]:
    """Return every documented route, sorted by path, reading methods first."""
    kinds = _kinds_of_key()
    found = [
        Route(method.upper(), path, operation, kinds.get((method.upper(), path), ()))
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    ]
    return tuple(sorted(found, key=lambda each: (each.path, each.method)))


def undocumented() -> list[str]:
    """Return the paths that the OpenAPI document leaves out: published schemas, and itself."""
    paths = {route.path for route in iter_route_contexts(api().routes) if route.path}
    return sorted(paths - set(document()["paths"]))


def _kinds_of_key() -> Mapping[tuple[str, str], tuple[str, ...]]:
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for route in iter_route_contexts(api().routes):
        for dependency in getattr(route, "dependencies", None) or ():
            kinds = vars(dependency.dependency).get("_kinds", ())
            found |= {(method, route.path or ""): kinds for method in route.methods or ()}
    return found
