"""The page about the command line: every command with its help, arguments and options."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer

from docs.reference_pages import markdown
from docs.reference_pages.markdown import code, slug, table
from interfaces.cli.main import app

_INTRODUCTION = """\
# Command line

`foldline` exits with 0 if it went well, 1 if it was refused, 2 if the command line was not understood, and 130 after Ctrl-C. Options that are
[settings](settings.md) win over the environment. `--json` is there wherever a script would read the output.
"""


def page() -> str:
    """Return the page."""
    found = list(commands())
    return markdown.page(
        _INTRODUCTION,
        table(
            ("command", "what it does"),
            (
                (f"[`{name}`](#{slug(name)})", _help(command).partition("\n")[0])
                for name, command in found
            ),
        ),
        *(_section(name, command) for name, command in found),
    )


def commands() -> Iterator[tuple[str, Any]]:
    """Give out every command with its full name, groups before what is in them."""
    yield from _below(app.info.name or "", typer.main.get_command(app))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for child, below in sorted(getattr(command, "commands", {}).items()):
        yield from _below(f"{name} {child}", below)


def _section(name: str, command: Any) -> str:
    context = command.context_class(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    return markdown.page(
        f"## {name}",
        f"```sh\n{usage}\n```",
        _help(command),
        table(
            ("argument", "meaning"),
            ((code(each.metavar or each.name.upper()), each.help) for each in arguments),
        ),
        table(
            ("option", "default", "meaning"),
            ((_spelling(each), _default(each), each.help) for each in options if not each.hidden),
        ),
    )


def _help(command: Any) -> str:
    return inspect.cleandoc(command.help or "")


def _spelling(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or 'VALUE'}"
    return ", ".join(code(f"{each}{value}") for each in (*option.opts, *option.secondary_opts))


def _default(option: Any) -> str:
    return "" if option.default in (None, False, ()) else code(option.default)
