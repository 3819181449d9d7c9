"""What became of a rule each time that it was set off, and what is remembered so that it can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID

import msgspec

from domain.conditions.values import shown
from domain.rules.definition import MOST_TIMES

if TYPE_CHECKING:
    from domain.conditions import Happened
    from domain.core.ledger_time import Since
    from domain.evaluation.summaries import Adder, Sides, Value

Outcome = Literal["waiting", "fired", "suppressed"]

DELAY, EVENT = "delay", "event"
"""Why a run waits: for its delay to pass, or for an event to come."""

AT_ONCE, DELAYED, THEN, ELSE = "at_once", "delayed", "then", "else"
"""How a run fired: what it waited for came, or did not, or it waited for nothing but time."""

SUPPRESSED: Mapping[str, str] = {
    "too_old": "it had happened too long before the ledger took it: see `max_age`",
    "by_merge": "it came of a merge or unmerge, not of what the person did: see `on_merge`",
    "by_definition": "the segment was defined, the person did nothing",
    "too_deep": "rules had set off one another too often",
    "audience": "the person was not in the audience",
    "reentry": "the person was taken before: see `reentry`",
    "too_many": "the person waits in this rule too many times already",
    "cap": "the rule had fired for the person as often as it may: see `cap`",
    "event_came": "what was waited for came, and nothing is to be done then",
    "timed_out": "what was waited for did not come, and nothing is to be done then",
    "rule_disabled": "the rule was disabled while the person waited",
    "rule_archived": "the rule was archived while the person waited",
}
"""Why a run came to nothing."""


class Occasion(NamedTuple):
    """Something that may set rules off."""

    kind: str
    """The key of a kind of trigger: see `domain.rules.triggers`."""

    subject: str
    """Which event, segment, attribute or turn of a profile."""

    document: Mapping[str, Any]
    """What `where`, `match` and fields look at."""

    at: Since
    """When the ledger took it, or it came about by itself."""

    occurred: int
    """When it happened, in microseconds since 1970 UTC."""

    depth: int = 0
    """How many rules led to it, one after the other."""

    by_merge: bool = False
    by_definition: bool = False
    """It came about because people, or a segment, are seen in another way than before."""


class Context(msgspec.Struct, frozen=True):
    """What is kept of an occasion for as long as it matters."""

    kind: str
    subject: str
    occurred_at: str
    document: dict[str, Any]
    depth: int = 0

    @classmethod
    def of(cls, occasion: Occasion) -> Context:
        """Return what is to be kept."""
        return cls(
            occasion.kind,
            occasion.subject,
            shown(occasion.occurred),
            dict(occasion.document),
            occasion.depth,
        )


encode_context = msgspec.json.Encoder().encode
decode_context = msgspec.json.Decoder(Context).decode


class Run(NamedTuple):
    """One time that a rule was set off for a person."""

    rule: str
    version: int
    """Of the definition by which it was set off, and which it follows to its end."""

    cause: str
    """What set it off: with rule and version, this is there once for ever."""

    stream: UUID
    """One of the person's: whoever has it later, this is about."""

    person: UUID
    """Who it was when it was last looked at."""

    set_off: Since
    outcome: Outcome
    reason: str
    since: Since
    """Since when that is its outcome."""

    due: int | None = None
    """When it goes on by itself; None of one that has come to its end."""

    context: bytes = b""
    """A `Context`, for as long as it is needed."""

    @property
    def key(self) -> tuple[str, int, str]:
        """What no two have in common."""
        return self.rule, self.version, self.cause


def cause_of(occasion: Occasion, person: UUID) -> str:
    """Return what an occasion is called among the causes of a rule's runs.

    An event of a person is a position of the ledger; anything else may happen to several people at one
    position or, by itself, at one instant.
    """
    if occasion.kind == "event":
        return f"{occasion.at.by}"
    place = f"{occasion.at.by}" if occasion.at.by else f"@{occasion.at.at}"
    return f"{place}/{person}"


class Passed(NamedTuple):
    """When a person was last taken by a rule, and when it fired for them, the newest first."""

    taken: int | None = None
    fired: tuple[int, ...] = ()


class Passing:
    """The memory of one rule: kept like those of conditions, but written by what rules do."""

    kind = None
    names: frozenset[str] = frozenset()

    def __init__(self, rule: str) -> None:
        self.key = passing(rule)

    def watches(self, name: str) -> bool:  # noqa: ARG002 - as every memory
        """Say no: it looks at no message."""
        return False

    def adder(self) -> Adder:
        """Return what changes nothing."""

        def add(value: Value, happened: Happened) -> Value:  # noqa: ARG001
            return value

        return add

    def join(self, sides: Sides) -> Value:
        """Return the last time, and the newest of all."""
        values = [Passed(*value) for value, _ in sides]
        taken = max((it.taken for it in values if it.taken is not None), default=None)
        fired = sorted((at for it in values for at in it.fired), reverse=True)
        return Passed(taken, tuple(fired[:MOST_TIMES]))

    def kept(self, value: Value, _clock: int) -> Value:
        """Keep it all: the newest times, as many as can matter."""
        return value

    def decode(self, stored: bytes) -> Value:
        """Return what was kept."""
        taken, fired = msgspec.msgpack.decode(stored)
        return Passed(taken, tuple(fired))


def passing(rule: str) -> str:
    """Return what it is remembered under how often a rule has taken somebody."""
    return f"rule:{rule}"


class Due(NamedTuple):
    """A trigger that the ledger does not have yet."""

    rule: str
    version: int
    cause: str
    stream: UUID
    person: UUID
    branch: str
    at: int
    """Since when it is due, in microseconds since 1970 UTC."""

    context: Context
    plan: bytes

    @property
    def key(self) -> tuple[str, int, str]:
        """What no two have in common."""
        return self.rule, self.version, self.cause


def in_order(runs: Sequence[Run]) -> Sequence[Run]:
    """Return runs in the order in which they were set off."""
    return sorted(runs, key=lambda it: (it.set_off, it.key))
