"""The generated reference leaves nothing out."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import typer

from docs import reference_pages
from docs.reference_pages import command_line, errors, metrics, native_api
from domain.conditions import CONDITIONS
from domain.events.registry import EVENT_CLASSES
from domain.rules.actions import ACTIONS
from domain.rules.definition import RULE_FIELDS
from domain.rules.triggers import TRIGGERS
from interfaces.cli.main import app
from interfaces.settings import SETTINGS
from interfaces.wire import FORMATS
from projections import PROJECTIONS


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference_pages.pages()


def test_no_other_package_has_the_name_of_ours():
    found = importlib.util.find_spec("docs")
    assert found is not None
    assert next(iter(found.submodule_search_locations)) == str(
        Path(reference_pages.__file__).parents[1]
    )


def test_every_condition_has_its_fields_and_an_example(pages):
    for kind in CONDITIONS:
        section = _section(pages["conditions"], f"`{kind.KEY}`: {kind.__name__}")
        assert "```json" in section
        assert all(f"| `{name}` |" in section for name in kind.__struct_encode_fields__)


@pytest.mark.parametrize("kinds", [TRIGGERS, ACTIONS])
def test_every_trigger_and_action_has_its_fields_and_an_example(pages, kinds):
    for kind in kinds:
        section = _section(pages["rules"], f"`{kind.KEY}`: {kind.__name__}")
        assert "```json" in section
        assert all(f"| `{name}` |" in section for name in kind.__struct_encode_fields__)


def test_every_field_of_a_rule_is_there(pages):
    assert all(f"| `{name}` |" in pages["rules"] for name in RULE_FIELDS)


def test_every_setting_is_there(pages):
    for setting in SETTINGS:
        assert f"| `{setting.env}` | `{setting.flag}` |" in pages["settings"]


def test_every_metric_of_a_scrape_is_there(pages):
    from interfaces.http import metrics as registered

    names = {name for name in vars(registered) if name.isupper()}
    exposed = list(metrics.exposed())
    assert len(exposed) == len(names) > 0
    for name, _, labels, meaning in exposed:
        assert f"| `{name}` |" in pages["metrics"]
        assert all(f"`{label}`" in pages["metrics"] for label in labels)
        assert meaning in pages["metrics"]


def test_every_error_code_is_there(pages):
    codes = {kind.code for kind in errors.classes()}
    assert {"invalid_request", "not_found", "invalid_setting"} <= codes
    messages, bodies = errors.wire_codes()
    codes |= {it.code for it in (*errors.routing_codes(), *messages, *bodies)}
    assert {"no_such_route", "no_user_anon_id", "bad_gzip"} <= codes
    assert all(f"| `{code}` |" in pages["errors"] for code in codes)


def test_every_route_is_there_with_its_own_section(pages):
    sections = "\n".join(text for name, text in pages.items() if name.startswith("http-"))
    assert len(native_api.routes()) > 60
    for route in native_api.routes():
        assert f"`{route.method} {route.path}`" in pages["http"]
        assert f"\n## {route.method} {route.path}\n" in sections
    for path in native_api.undocumented():
        assert f"`{path}`" in pages["http"]


def test_every_route_says_which_key_it_takes():
    without = {it.path for it in native_api.routes() if not it.keys}
    assert without == {"/healthz/live", "/healthz/ready", "/metrics"}


def test_every_command_is_there_with_every_option(pages):
    commands = dict(command_line.commands())
    assert set(typer.main.get_command(app).commands) <= {name.split()[-1] for name in commands}
    for name, command in commands.items():
        section = _section(pages["cli"], name)
        for each in command.params:
            is_argument = each.param_type_name == "argument"
            assert all(f"`{it}" in section for it in ([each.metavar] if is_argument else each.opts))


def test_every_wire_format_and_its_paths_are_there(pages):
    for name, wire_format in FORMATS.items():
        assert all(
            f"`{path}`" in _section(pages["wire-formats"], name) for path in wire_format.paths
        )


def test_every_read_model_and_its_queries_are_there(pages):
    for projection in PROJECTIONS:
        assert f"| `{projection.name}` | {projection.version} |" in pages["read-models"]
        for query in projection.queries:
            assert f"`GET /v1{query.path}`" in pages["read-models"]


def test_every_event_of_the_ledger_is_there(pages):
    for kind in EVENT_CLASSES:
        assert f"| `{kind.TOPIC}` | [{kind.__name__}]" in pages["events"]


def test_pages_that_are_gone_are_removed_and_others_keep_their_time(pages, tmp_path, monkeypatch):
    monkeypatch.setattr(reference_pages, "pages", lambda: {"index": pages["index"]})
    (tmp_path / "stale.md").write_text("")
    reference_pages.write_reference(tmp_path)
    written = (tmp_path / "index.md").stat().st_mtime_ns
    reference_pages.write_reference(tmp_path)
    assert [it.name for it in tmp_path.iterdir()] == ["index.md"]
    assert (tmp_path / "index.md").stat().st_mtime_ns == written


def _section(page: str, heading: str) -> str:
    """Return the text below a heading, up to the next of any level."""
    [_, text] = page.split(f"# {heading}\n")
    return text.partition("\n#")[0]
