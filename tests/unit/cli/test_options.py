"""Flags derived from settings."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
import typer
from typer.testing import CliRunner

from domain.core.errors import InvalidRequest
from interfaces.cli.options import with_settings
from interfaces.settings import Settings


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    """Restore logging, which a command configures for the whole process."""
    configuration, handlers = structlog.get_config(), [*logging.root.handlers]
    yield
    structlog.configure(**configuration)
    logging.root.handlers[:] = handlers


def called_with(*arguments: str, env: dict[str, str] | None = None) -> Settings:
    app = typer.Typer()
    received: list[Settings] = []

    @app.command()
    @with_settings("port", "host")
    def command(*, settings: Settings, loud: bool = False) -> None:
        received.append(settings)

    result = CliRunner().invoke(app, [*arguments], env=env)
    if result.exception is not None:
        raise result.exception
    [settings] = received
    return settings


def test_a_flag_wins_over_the_environment_which_wins_over_the_default() -> None:
    assert called_with().port == 8080
    assert called_with(env={"FOLDLINE_PORT": "81"}).port == 81
    assert called_with("--port", "82", "--loud", env={"FOLDLINE_PORT": "81"}).port == 82


def test_a_setting_without_a_flag_on_the_command_is_read_from_the_environment() -> None:
    assert called_with(env={"FOLDLINE_WORKERS": "3"}).workers == 3


def test_a_mistyped_variable_is_warned_about_and_changes_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLDLINE_PROT", "81")
    app = typer.Typer()
    app.command()(with_settings("port")(lambda *, settings: print(settings.port)))
    app([], standalone_mode=False)
    output = capsys.readouterr()
    assert output.out == "8080\n"
    assert output.err.startswith("warning: FOLDLINE_PROT is not a setting, and is ignored; did you")


def test_an_invalid_value_is_reported_by_the_name_of_its_source() -> None:
    with pytest.raises(InvalidRequest, match=r"^--port must be"):
        called_with("--port", "x")
    with pytest.raises(InvalidRequest, match=r"^FOLDLINE_PORT must be"):
        called_with(env={"FOLDLINE_PORT": "x"})
