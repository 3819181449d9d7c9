"""What is known of a person from the memories of their streams, joined when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from domain import profile_view
from domain.conditions import Known
from domain.memories import Remembered, Trait, Value
from domain.profile_state import ProfileState
from domain.profile_view import TAGS
from domain.rules import Rules


class Whose(NamedTuple):
    """Which person a stream is of."""

    person: UUID
    kind: str
    """Kind of the identifier that owns it."""

    guessed: bool = False
    demoted: datetime | None = None
    """See `domain.identity.Component`."""


class Stream:
    """One stream, and what is remembered of it."""

    __slots__ = ("changed", "first_at", "memory", "met_by", "recalled", "touched", "upto", "whose")

    def __init__(
        self,
        whose: Whose,
        first_at: int | None = None,
        memory: Remembered | None = None,
        met_by: int = 0,
    ) -> None:
        self.whose, self.first_at, self.met_by = whose, first_at, met_by
        self.memory = Remembered() if memory is None else memory
        self.upto = met_by
        """Position up to which it is remembered, whatever was asked for by then.

        There is nothing to remember from before it was first met, at ``met_by``.
        """

        self.recalled = False
        """Whether it is to be kept that this is further than before, even if nothing is remembered."""

        self.changed = False
        """Whether anything but the memory is different from before."""

        self.touched: dict[str, int] = {}
        """Keys of what is remembered that is different from before, and when that came."""

    def remember(self, key: str, value: Value, clock: int) -> None:
        """Remember something else under a key from the clock on."""
        self.memory[key] = value
        self.touched[key] = clock

    def recall(self, values: Mapping[str, tuple[Value, int]], upto: int, *, noted: bool) -> None:
        """Remember what was asked for by a position: values by key, and since when.

        ``noted``: that this was done is kept even if there is nothing to remember.
        """
        for key, (value, clock) in values.items():
            self.remember(key, value, clock)
        self.upto, self.recalled = upto, noted


class KnownOf:
    """What is known of the person whose streams these are."""

    def __init__(
        self, rules: Rules, streams: Sequence[Stream], in_segment: Callable[[str], bool]
    ) -> None:
        self.is_somebody = any(it.first_at is not None for it in streams)
        joined = _Joined(rules, streams)
        self._joined = joined
        self._rules = rules
        kinds = frozenset([it.whose.kind for it in streams if not it.whose.guessed])
        self.known = Known(joined, {}, frozenset(), kinds, in_segment)
        self._tell()

    def forget(self, key: str) -> None:
        """Look at a memory anew."""
        self._joined.pop(key, None)
        if isinstance(self._rules.memories[key], Trait) or key == TAGS:
            self._tell()

    def _tell(self) -> None:
        told_of, streams = self._rules.told, self._joined.streams
        keys = [key for it in streams for key in it.memory.among(told_of)]
        told = {key: it for key in sorted(keys) if (it := self._joined[key])} if keys else {}
        if not told and not self.known.attributes and not self.known.tags:
            return
        tags = told.pop(TAGS, {})
        attributes = {name: word for each in told.values() for name, word in each.items()}
        state = ProfileState(attributes=attributes, tags=tags)
        shown = profile_view.attributes(state)
        self.known = self.known._replace(
            attributes={name: msgspec.json.decode(value) for name, value in shown.items()},
            tags=frozenset(profile_view.tags(state)),
        )


class _Joined(dict[str, Value]):
    """Memories of a person by key, joined from their streams' once they are asked for; None: nothing."""

    def __init__(self, rules: Rules, streams: Sequence[Stream]) -> None:
        super().__init__()
        self._rules, self.streams = rules, streams
        self._only = streams[0].memory.get if len(streams) == 1 else None

    def __missing__(self, key: str) -> Value:
        if self._only is not None and key not in self._rules.told:
            value = self._only(key)
        else:
            sides = [
                (value, it.whose.demoted)
                for it in self.streams
                if (value := it.memory.get(key)) is not None
            ]
            value = self._rules.memories[key].join(sides) if sides else None
        self[key] = value
        return value

    def get(self, key: str, default: Value = None) -> Value:
        """Return the joined value."""
        value = self[key]
        return default if value is None else value
