"""Pages written by hand agree with the code and with each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from application.deliveries.addresses import ALLOWED_PORTS
from domain.delivery.retry_policy import RETRY_DELAYS
from interfaces.http import metrics
from interfaces.settings import SETTINGS

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
TEXTS = (
    "CONTRIBUTING.md",
    "domain/README.md",
    "application/README.md",
    "projections/README.md",
    "interfaces/README.md",
    "interfaces/wire/README.md",
    "tests/README.md",
    "tests/benchmarks/README.md",
)
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in DOCS.rglob("*.md")
    if not {"_build", "reference"} & {*path.relative_to(DOCS).parts}
)
DECISIONS = sorted(DOCS.glob("decisions/0*.md"))


def read(page: str) -> str:
    return (ROOT / page).read_text()


@pytest.mark.parametrize("text", TEXTS)
def test_every_file_that_a_text_links_to_exists(text: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", read(text))
    assert [it for it in links if not (ROOT / text).parent.joinpath(it).exists()] == []


def test_monitoring_explains_every_metric_and_no_other() -> None:
    names = {
        described.name
        for metric in vars(metrics).values()
        if isinstance(metric, MetricWrapperBase)
        for described in metric.describe()
    }
    named = re.findall(r"\bfoldline_\w+", read("docs/operations/monitoring.md"))
    assert {re.sub(r"_(total|bucket)$", "", it) for it in named} == names


@pytest.mark.parametrize("page", [*PAGES, *TEXTS])
def test_every_setting_that_a_page_names_exists(page: str) -> None:
    known = {it.env for it in SETTINGS} | {
        "FOLDLINE_DB_PASSWORD",  # of docker-compose.yml
        "FOLDLINE_TEST_DSN",
        "FOLDLINE_BENCH_SCALE",
    }
    assert {*re.findall(r"\bFOLDLINE_[A-Z_]*[A-Z]", read(page))} <= known


def test_concepts_tell_the_retry_schedule() -> None:
    units = ((3600, "h"), (60, "min"), (1, "s"))
    spelled = []
    for delay in RETRY_DELAYS:
        seconds = int(delay.total_seconds())
        size, unit = next(it for it in units if seconds % it[0] == 0)
        spelled.append(f"{seconds // size} {unit}")
    text = " ".join(read("docs/concepts.md").split())
    assert f"after {', '.join(spelled)}." in text


def test_security_tells_the_ports_of_webhooks() -> None:
    assert f"port {' or '.join(map(str, ALLOWED_PORTS))}" in read("docs/operations/security.md")


@pytest.mark.parametrize("page", DECISIONS, ids=lambda it: it.stem)
def test_a_decision_has_its_three_parts_on_one_page(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {int(page.stem[:4])}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= 40


def test_every_decision_is_in_the_index() -> None:
    index = (DOCS / "decisions" / "index.md").read_text()
    assert [it.stem for it in DECISIONS if index.count(it.stem) != 2] == []
