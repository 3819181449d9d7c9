"""The report of a run: a table for the terminal and a JSON file for scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.benchmarks.scale import SCALE


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A figure of Foldline and its yardstick.

    ``at_least`` and ``at_most`` bound the ratio ours / yardstick.
    """

    name: str
    ours: float
    yardstick: float
    ratio: float
    unit: str
    against: str
    at_least: float | None = None
    at_most: float | None = None
    most: float | None = None
    """Bounds the figure itself, in its unit."""

    note: str = ""

    @property
    def holds(self) -> bool:
        return (
            (self.at_least is None or self.ratio >= self.at_least)
            and (self.at_most is None or self.ratio <= self.at_most)
            and (self.most is None or self.ours <= self.most)
        )

    @property
    def bar(self) -> str:
        bounds = [
            f"≥ {self.at_least:g}" if self.at_least is not None else "",
            f"≤ {self.at_most:g}" if self.at_most is not None else "",
            f"≤ {self.most:g} {self.unit}" if self.most is not None else "",
        ]
        return ", ".join(bound for bound in bounds if bound) or "for information"


@dataclass
class Report:
    """The measurements of one run."""

    rows: list[Measured] = field(default_factory=list)

    def rounds(
        self, name: str, pairs: Sequence[tuple[float, float]], *, unit: str, against: str, **more
    ) -> Measured:
        """Adds rounds of (ours, yardstick): the medians, and the median of the rounds' ratios."""
        measured = Measured(
            name=name,
            ours=median(ours for ours, _ in pairs),
            yardstick=median(yardstick for _, yardstick in pairs),
            ratio=median(ours / yardstick for ours, yardstick in pairs),
            unit=unit,
            against=against,
            **more,
        )
        self.rows.append(measured)
        return measured

    def table(self, width: int) -> str:
        """Returns the table as text."""
        title = "Benchmarks" if SCALE == 1 else f"Benchmarks at scale {SCALE:g}: no bar is asserted"
        table = Table(title=title, title_justify="left")
        table.add_column("benchmark", no_wrap=True)
        for name in ("ours", "yardstick", "ratio"):
            table.add_column(name, justify="right", no_wrap=True)
        for name in ("unit", "bar", "", "yardstick is", "note"):
            table.add_column(name)
        for row in self.rows:
            bounded = row.bar != "for information"
            verdict = ("yes" if row.holds else "NO") if bounded else ""
            figures = (_figure(row.ours), _figure(row.yardstick), f"{row.ratio:.2f}")
            table.add_row(row.name, *figures, row.unit, row.bar, verdict, row.against, row.note)
        console = Console(width=max(width, 160), no_color=True)
        with console.capture() as captured:
            console.print(table)
        return captured.get()

    def write(self, path: Path) -> None:
        """Writes the file: by name, ours, yardstick, ratio and unit."""
        content = {
            row.name: {
                "ours": round(row.ours, 3),
                "yardstick": round(row.yardstick, 3),
                "ratio": round(row.ratio, 4),
                "unit": row.unit,
            }
            for row in self.rows
        }
        path.write_text(json.dumps(content, indent=2) + "\n")


def hold(*measured: Measured) -> None:
    """Fails if a measurement misses its bar, except in a scaled run, which proves nothing."""
    missed = [
        f"{row.name}: {row.ratio:.2f}, {row.ours:.1f} {row.unit}"
        for row in measured
        if not row.holds
    ]
    assert SCALE != 1 or not missed, f"below the bar: {'; '.join(missed)}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
