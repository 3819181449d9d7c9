"""Runs of rules, the events that trigger them, and the history that limits them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID

import msgspec

from domain.conditions.accumulators import Accumulator, AccumulatorValue, Partials
from domain.core.time import format_utc
from domain.rules.definition import MAX_CAP_TIMES

if TYPE_CHECKING:
    from domain.core.ledger_time import Cause

RunOutcome = Literal["waiting", "fired", "suppressed"]

DELAY, EVENT = "delay", "event"
"""What a run waits for: the end of its delay, or an event."""

IMMEDIATE, DELAYED, THEN, ELSE = "at_once", "delayed", "then", "else"
"""Branches of a run that fires: at once, after its delay, on the awaited event, or on the timeout."""

SUPPRESSION_REASONS: Mapping[str, str] = {
    "too_old": "the event was older than `max_age` when it was recorded",
    "by_merge": "caused by a merge or unmerge: see `on_merge`",
    "by_definition": "caused by a changed definition, not by an event of the profile",
    "too_deep": "rules triggered each other too often",
    "audience": "the profile is not in the audience",
    "reentry": "the profile has entered this rule before: see `reentry`",
    "too_many": "the profile has too many waiting runs in this rule",
    "cap": "the cap of firings per profile is reached: see `cap`",
    "event_came": "the awaited event arrived and `then` has no actions",
    "timed_out": "the wait timed out and `else` has no actions",
    "rule_disabled": "the rule was disabled during the run",
    "rule_archived": "the rule was archived during the run",
}
"""Why a run was suppressed, by code."""


class TriggerEvent(NamedTuple):
    """An event, membership change, attribute change or profile change that can trigger rules."""

    kind: str
    """KEY of a trigger class: see `domain.rules.triggers`."""

    subject: str
    """Event name, segment id, attribute name, or `created` or `merged` for a profile."""

    document: Mapping[str, Any]
    """The context that `where`, `match` and `$field` read."""

    cause: Cause
    """When it was recorded, or when a timer caused it."""

    occurred_at: int
    """When it happened, in microseconds since 1970 UTC."""

    depth: int = 0
    """Number of rules that led to it, each through the event of the one before."""

    by_merge: bool = False
    """Whether a merge or unmerge caused it."""

    by_definition: bool = False
    """Whether a changed definition caused it."""


class TriggerContext(msgspec.Struct, frozen=True):
    """The part of a trigger event that a run keeps until it ends, and that actions can use."""

    kind: str
    subject: str
    occurred_at: str
    document: dict[str, Any]
    depth: int = 0

    @classmethod
    def from_trigger_event(cls, trigger_event: TriggerEvent) -> TriggerContext:
        """Returns the context of a trigger event."""
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
    """One run of a rule for a profile: waiting, fired or suppressed."""

    rule: str
    version: int
    """The version of the rule that was triggered: the run follows it to its end."""

    cause: str
    """Key of what triggered it, unique for the rule and version: see `cause_key`."""

    stream: UUID
    """One of the profile's streams.  The run follows this stream through later merges."""

    profile_id: UUID
    """The profile that owned the stream when the run was last changed."""

    started: Cause
    outcome: RunOutcome
    reason: str
    since: Cause
    """When it got this outcome."""

    due: int | None = None
    """When its timer fires, in microseconds since 1970 UTC; None once the run has ended."""

    context: bytes = b""
    """An encoded `TriggerContext`, while it is needed."""

    @property
    def key(self) -> tuple[str, int, str]:
        """The identity of the run: rule, version and cause."""
        return self.rule, self.version, self.cause


def cause_key(trigger_event: TriggerEvent, profile_id: UUID) -> str:
    """Returns the key of a trigger event among the causes of a rule's runs.

    For an event of a profile it is the position in the ledger.  Anything else can concern several profiles
    at one position or, if a timer causes it, at one instant; so the profile is part of its key.
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
    """When a profile last entered a rule, and when the rule fired for it, newest first."""

    last_entered_at: int | None = None
    fired_at: tuple[int, ...] = ()


class RuleHistoryAccumulator(Accumulator):
    """The history of one rule, stored like other accumulators but written by its runs."""

    def __init__(self, rule: str) -> None:
        self.key = history_key(rule)

    def merge(self, partials: Partials) -> AccumulatorValue:
        """Keeps the latest entry, and the newest firings of all streams."""
        histories = [RuleHistory(*value) for value, _ in partials]
        last_entered_at = max(
            (
                history.last_entered_at
                for history in histories
                if history.last_entered_at is not None
            ),
            default=None,
        )
        fired_at = sorted((at for history in histories for at in history.fired_at), reverse=True)
        return RuleHistory(last_entered_at, tuple(fired_at[:MAX_CAP_TIMES]))

    def decode(self, stored: bytes | msgspec.Raw) -> AccumulatorValue:
        """Decodes a stored value."""
        last_entered_at, fired_at = msgspec.msgpack.decode(stored)
        return RuleHistory(last_entered_at, tuple(fired_at))


def history_key(rule: str) -> str:
    """Returns the accumulator key of a rule's history."""
    return f"rule:{rule}"


class DueFiring(NamedTuple):
    """A run that has fired and is not recorded in the ledger yet."""

    rule: str
    version: int
    cause: str
    stream: UUID
    profile_id: UUID
    branch: str
    at: int
    """When the run fired, in microseconds since 1970 UTC."""

    context: TriggerContext
    plan: bytes
    """JSON of the rule's version."""

    @property
    def key(self) -> tuple[str, int, str]:
        """The identity of the run: rule, version and cause."""
        return self.rule, self.version, self.cause


def sorted_by_start(runs: Sequence[RuleRun]) -> Sequence[RuleRun]:
    """Returns runs in the order in which they started."""
    return sorted(runs, key=lambda run: (run.started, run.key))
