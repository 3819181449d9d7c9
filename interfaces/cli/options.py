"""Command-line flags, derived from ``SETTINGS``."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from interfaces.cli.output import print_status
from interfaces.settings import SETTINGS, Setting, Settings, unknown_variables

Command = Callable[..., None]

DATABASE_SETTINGS = ("dsn", "home", "log_level")
"""Settings of a command that only opens the database."""

WRITE_SETTINGS = (*DATABASE_SETTINGS, "flush_events", "queue_events")
"""Settings of a command that records events."""

DELIVERY_SETTINGS = (*DATABASE_SETTINGS, "secret_key", "webhook_allow")
"""Settings of a command that sends webhooks."""

ALL_SETTINGS = tuple(setting.field for setting in SETTINGS)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
WorkspaceOption = Annotated[
    str, typer.Option("--workspace", "-w", metavar="NAME", help="Workspace name.")
]


def with_settings(*fields: str, logs: bool = True) -> Callable[[Command], Command]:
    """Add the flags of these settings to a command, which receives validated ``settings``.

    Settings without a flag on the command are still read from the environment.  Without ``logs`` the command
    logs nothing, and so does not load what formats log lines.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def read_and_run(**arguments: Any) -> None:
            flags = {field: arguments.pop(field) for field in fields}
            for warning in unknown_variables(os.environ):
                print_status(f"warning: {warning}")
            settings = Settings.from_environment(**flags)
            if logs:
                from interfaces.logs import configure_logging

                configure_logging(settings.log_level)
            command(settings=settings, **arguments)

        command_parameters = inspect.signature(command, eval_str=True).parameters.values()
        parameters = [parameter for parameter in command_parameters if parameter.name != "settings"]
        parameters += [
            _setting_parameter(setting) for setting in SETTINGS if setting.field in fields
        ]
        # Typer reads the command's options from these two attributes.
        read_and_run.__dict__["__signature__"] = inspect.Signature(parameters)
        read_and_run.__annotations__ = {
            parameter.name: parameter.annotation for parameter in parameters
        }
        return read_and_run

    return decorate


def _setting_parameter(setting: Setting) -> inspect.Parameter:
    default = f"; default {setting.default}" if setting.default else ""
    option = typer.Option(
        setting.flag,
        metavar="VALUE",
        help=f"{setting.help} [env {setting.env}{default}]",
        show_default=False,
    )
    return inspect.Parameter(
        setting.field,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, option],
    )
