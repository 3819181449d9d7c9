"""The page about read models: tables' schema, version, and the queries each answers."""

from __future__ import annotations

import sys

from docs.reference_pages import http_api, markdown
from docs.reference_pages.markdown import code, slug, table
from projections import PROJECTIONS
from projections.runtime.projection import Projection

_INTRODUCTION = """\
# Read models

A read model is a fold of the ledger into tables of its own, in the schema `read_<name>_v<version>`. It is rebuilt, never migrated: a new
version is built from the ledger next to the live tables. Queries are routes of the [HTTP API](http.md); `foldline projections` lists,
rebuilds and verifies read models by the names below.
"""


def page() -> str:
    """Return the page."""
    return markdown.page(
        _INTRODUCTION,
        table(
            ("name", "version", "schema", "tables", "what it holds"),
            (
                (
                    code(each.name),
                    each.version,
                    code(each.schema),
                    ", ".join(code(table.name) for table in each.metadata.sorted_tables),
                    _summary(each),
                )
                for each in PROJECTIONS
            ),
        ),
        "## Queries",
        table(
            ("read model", "route", "what it answers"),
            (
                (code(each.name), _link(f"/v1{query.path}"), query.summary)
                for each in PROJECTIONS
                for query in each.queries
            ),
        ),
    )


def _summary(projection: Projection) -> str:
    modules = (f"projections.{name}" for name in (projection.name, f"saved_{projection.name}"))
    return next((markdown.summary(sys.modules[it]) for it in modules if it in sys.modules), "")


def _link(path: str) -> str:
    page = next(
        it.slug for it in http_api.groups() if any(path == route.path for route in it.routes)
    )
    return f"[`GET {path}`](http-{page}.md#{slug(f'GET {path}')})"
