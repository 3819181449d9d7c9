"""What became of a rule each time that it was set off, and what is remembered so that it can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID

import msgspec

from domain.core.time import format_utc
from domain.rules.definition import MAX_CAP_TIMES

if TYPE_CHECKING:
    from domain.conditions import EventView
    from domain.core.ledger_time import Cause
    from domain.evaluation.accumulators import AccumulatorValue, AddFunction, Partials

RunOutcome = Literal["waiting", "fired", "suppressed"]

DELAY, EVENT = "delay", "event"
"""Why a run waits: for its delay to pass, or for an event to come."""

IMMEDIATE, DELAYED, THEN, ELSE = "at_once", "delayed", "then", "else"
"""How a run fired: what it waited for came, or did not, or it waited for nothing but time."""

SUPPRESSION_REASONS: Mapping[str, str] = {
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


class TriggerEvent(NamedTuple):
    """Something that may set rules off."""

    kind: str
    """The key of a kind of trigger: see `domain.rules.triggers`."""

    subject: str
    """Which event, segment, attribute or turn of a profile."""

    document: Mapping[str, Any]
    """What `where`, `match` and fields look at."""

    cause: Cause
    """When the ledger took it, or it came about by itself."""

    occurred_at: int
    """When it happened, in microseconds since 1970 UTC."""

    depth: int = 0
    """How many rules led to it, one after the other."""

    by_merge: bool = False
    by_definition: bool = False
    """It came about because people, or a segment, are seen in another way than before."""


class TriggerContext(msgspec.Struct, frozen=True):
    """What is kept of an occasion for as long as it matters."""

    kind: str
    subject: str
    occurred_at: str
    document: dict[str, Any]
    depth: int = 0

    @classmethod
    def from_trigger_event(cls, trigger_event: TriggerEvent) -> TriggerContext:
        """Return what is to be kept."""
        return cls(
            trigger_event.kind,
            trigger_event.subject,
            format_utc(trigger_event.occurred_at),
            dict(trigger_event.document),
            trigger_event.depth,
        )


encode_context = msgspec.json.Encoder().encode
decode_context = msgspec.json.Decoder(TriggerContext).decode


class RuleRun(NamedTuple):
    """One time that a rule was set off for a person."""

    rule: str
    version: int
    """Of the definition by which it was set off, and which it follows to its end."""

    cause: str
    """What set it off: with rule and version, this is there once for ever."""

    stream: UUID
    """One of the person's: whoever has it later, this is about."""

    profile_id: UUID
    """Who it was when it was last looked at."""

    started: Cause
    outcome: RunOutcome
    reason: str
    since: Cause
    """Since when that is its outcome."""

    due: int | None = None
    """When it goes on by itself; None of one that has come to its end."""

    context: bytes = b""
    """A `Context`, for as long as it is needed."""

    @property
    def key(self) -> tuple[str, int, str]:
        """What no two have in common."""
        return self.rule, self.version, self.cause


def cause_key(trigger_event: TriggerEvent, profile_id: UUID) -> str:
    """Return what an occasion is called among the causes of a rule's runs.

    An event of a person is a position of the ledger; anything else may happen to several people at one
    position or, by itself, at one instant.
    """
    if trigger_event.kind == "event":
        return f"{trigger_event.cause.position}"
    origin = (
        f"{trigger_event.cause.position}"
        if trigger_event.cause.position
        else f"@{trigger_event.cause.at}"
    )
    return f"{origin}/{profile_id}"


class RuleHistory(NamedTuple):
    """When a person was last taken by a rule, and when it fired for them, the newest first."""

    last_entered_at: int | None = None
    fired_at: tuple[int, ...] = ()


class RuleHistoryAccumulator:
    """The memory of one rule: kept like those of conditions, but written by what rules do."""

    kind = None
    names: frozenset[str] = frozenset()

    def __init__(self, rule: str) -> None:
        self.key = history_key(rule)

    def watches(self, name: str) -> bool:  # noqa: ARG002 - as every memory
        """Say no: it looks at no message."""
        return False

    def make_add(self) -> AddFunction:
        """Return what changes nothing."""

        def add(value: AccumulatorValue, happened: EventView) -> AccumulatorValue:  # noqa: ARG001
            return value

        return add

    def merge(self, partials: Partials) -> AccumulatorValue:
        """Return the last time, and the newest of all."""
        values = [RuleHistory(*value) for value, _ in partials]
        last_entered_at = max(
            (it.last_entered_at for it in values if it.last_entered_at is not None), default=None
        )
        fired_at = sorted((at for it in values for at in it.fired_at), reverse=True)
        return RuleHistory(last_entered_at, tuple(fired_at[:MAX_CAP_TIMES]))

    def to_stored(self, value: AccumulatorValue, _clock: int) -> AccumulatorValue:
        """Keep it all: the newest times, as many as can matter."""
        return value

    def decode(self, stored: bytes) -> AccumulatorValue:
        """Return what was kept."""
        last_entered_at, fired_at = msgspec.msgpack.decode(stored)
        return RuleHistory(last_entered_at, tuple(fired_at))


def history_key(rule: str) -> str:
    """Return what it is remembered under how often a rule has taken somebody."""
    return f"rule:{rule}"


class DueFiring(NamedTuple):
    """A trigger that the ledger does not have yet."""

    rule: str
    version: int
    cause: str
    stream: UUID
    profile_id: UUID
    branch: str
    at: int
    """Since when it is due, in microseconds since 1970 UTC."""

    context: TriggerContext
    plan: bytes

    @property
    def key(self) -> tuple[str, int, str]:
        """What no two have in common."""
        return self.rule, self.version, self.cause


def sorted_by_start(runs: Sequence[RuleRun]) -> Sequence[RuleRun]:
    """Return runs in the order in which they were set off."""
    return sorted(runs, key=lambda it: (it.started, it.key))
