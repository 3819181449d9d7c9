"""Group of commands whose modules are imported when the command is used, not to list them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup


class LazyCommand(NamedTuple):
    """A command, or a group of commands, that is not imported yet."""

    target: str
    """Module and name, such as ``interfaces.cli.keys:app``."""

    summary: str
    """The first sentence of its help, for the list of commands."""


class LazyCommands(Mapping[str, Any]):
    """Commands by name.  Iterating imports nothing; looking one up imports its module."""

    def __init__(self, commands: Mapping[str, LazyCommand]) -> None:
        self.lazy = commands

    def __getitem__(self, name: str) -> Any:
        """Import a command and return it.  Raises KeyError for an unknown name."""
        module, _, attribute = self.lazy[name].target.partition(":")
        target = getattr(import_module(module), attribute)
        parent = typer.Typer(rich_markup_mode=None)
        if isinstance(target, typer.Typer):
            parent.add_typer(target, name=name)
        else:
            parent.command(name)(target)
        return typer.main.get_group(parent).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.lazy)

    def __len__(self) -> int:
        return len(self.lazy)


def lazy_group(commands: Mapping[str, LazyCommand]) -> type[TyperGroup]:
    """Return a class of group with these commands; its help imports none of them."""

    class LazyGroup(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes | {"commands": LazyCommands(commands)})

        def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Click's signature
            return list(commands)

        def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Click's signature
            with formatter.section("Commands"):
                formatter.write_dl([(name, lazy.summary) for name, lazy in commands.items()])

    return LazyGroup
