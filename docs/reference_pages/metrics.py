"""The page about metrics: what `/metrics` counts, with types and labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.metrics import MetricWrapperBase

from docs.reference_pages import markdown
from docs.reference_pages.markdown import code, table
from interfaces.http import metrics

_INTRODUCTION = """\
# Metrics

`GET /metrics` answers in the Prometheus text format and needs no key: keep it away from the public, as
[the proxy examples](../howto/tls-behind-a-proxy.md) do. Counters and histograms are those of the process that answers; gauges are read from
the database at each scrape, over all workspaces. Labels are few and fixed: none is a name, an id or a workspace.
"""


def page() -> str:
    """Return the page."""
    return markdown.page(
        _INTRODUCTION,
        table(
            ("metric", "type", "labels", "meaning"),
            (
                (code(name), kind, ", ".join(map(code, labels)), meaning)
                for name, kind, labels, meaning in exposed()
            ),
        ),
    )


def exposed() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Give out name, type, labels and meaning of each metric, as a scrape names it."""
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            for described in metric.describe():
                total = "_total" if described.type == "counter" else ""
                labels: Any = metric._labelnames  # noqa: SLF001 - there is no public name for it
                yield f"{described.name}{total}", described.type, labels, described.documentation
