"""The flags of the settings, made from ``SETTINGS``, so that flag, environment name and help stay one thing."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from interfaces.settings import SETTINGS, Setting, Settings

Command = Callable[..., None]

DATABASE_SETTINGS = ("dsn", "home", "log_level")
"""The settings of a command that only opens the database."""

WRITE_SETTINGS = (*DATABASE_SETTINGS, "flush_events", "queue_events")
"""The settings of a command that records events."""

DELIVERY_SETTINGS = (*DATABASE_SETTINGS, "secret_key", "webhook_allow")
"""The settings of a command that sends webhooks."""

ALL_SETTINGS = tuple(setting.field for setting in SETTINGS)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def with_settings(*fields: str) -> Callable[[Command], Command]:
    """Give a command the flags of these settings; it is called with ``settings``, read and checked.

    A setting without a flag of the command is read from the environment all the same.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def read_and_run(**given: Any) -> None:
            flags = {field: given.pop(field) for field in fields}
            settings = Settings.from_environment(**flags)
            from interfaces.bootstrap import configure_logging

            configure_logging(settings.log_level)
            command(settings=settings, **given)

        own = inspect.signature(command, eval_str=True).parameters.values()
        parameters = [it for it in own if it.name != "settings"]
        parameters += [_setting_parameter(it) for it in SETTINGS if it.field in fields]
        # What typer reads the command's options from.
        read_and_run.__dict__["__signature__"] = inspect.Signature(parameters)
        read_and_run.__annotations__ = {it.name: it.annotation for it in parameters}
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
