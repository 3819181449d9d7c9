"""The leaves of a condition by their keys, to fold events without a read model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from domain.conditions import Condition, EventView
from domain.conditions.summary import Summarised, Summary


class Leaves:
    """A condition, and those of its parts that summarise events."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.by_key: Mapping[str, Summarised] = {
            accumulator.key: accumulator.leaf
            for accumulator in condition.accumulators()
            if accumulator.leaf is not None
        }
        self.add_functions: Mapping[str, Callable[[Summary, EventView], Any]] = {
            key: leaf.make_add() for key, leaf in self.by_key.items()
        }

    def watching(self, name: str) -> list[str]:
        """Returns the keys of the leaves that read events of this name."""
        return [key for key, leaf in self.by_key.items() if leaf.watches(name)]
