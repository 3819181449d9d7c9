"""The definition of a rule: trigger, audience, timing, limits and actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import msgspec

from domain.conditions import Condition
from domain.conditions.event_names import EventName, compile_event_name
from domain.conditions.events import compile_where
from domain.conditions.values import Comparison, json_equal
from domain.core import paths
from domain.core.errors import InvalidRequest
from domain.core.time import parse_duration
from domain.rules import actions, triggers
from domain.rules.actions.action import RuleAction, UnsupportedAction
from domain.rules.audience import Audience
from domain.rules.triggers import EventTrigger, SystemEventTrigger, Trigger

MAX_CAP_TIMES = 100
"""Largest `times` of a cap: a rule's history keeps this many firings per profile."""

_DEFAULT_MAX_AGE = "72h"
MAX_PRIORITY = 1_000

MAX_RULE_DEPTH = 5
"""Maximum length of a chain of rules, each triggered by an event of the one before."""


class OncePer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A profile can enter the rule again after a duration."""

    once_per: str
    """A duration, such as `7d`."""

    def __post_init__(self) -> None:
        parse_duration(self.once_per)


Reentry = Literal["always", "once", "not_while_waiting"] | OncePer
"""Whether a profile that has entered the rule can enter it again."""


class Cap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rule fires at most `times` times per profile within `per`."""

    times: int
    per: str
    """A duration, such as `7d`."""

    def __post_init__(self) -> None:
        if not 1 <= self.times <= MAX_CAP_TIMES:
            raise InvalidRequest(f"`times` of a cap must be from 1 to {MAX_CAP_TIMES}")
        parse_duration(self.per)


class Wait(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Wait for another event of the profile: `then` runs if it arrives in time, `else` if not."""

    event: EventName
    timeout: str
    where: tuple[Comparison, ...] = ()
    match: str | None = None
    """A path at which the awaited event must have the same value as the triggering event."""

    def __post_init__(self) -> None:
        parse_duration(self.timeout)
        if self.match is not None:
            paths.parse(self.match)

    def accepts(self, name: str) -> bool:
        """Returns whether events of this name can end the wait."""
        return compile_event_name(self.event)(name)

    def is_satisfied_by(self, document: Mapping[str, Any], context: Mapping[str, Any]) -> bool:
        """Returns whether an event ends the wait; ``context`` is the triggering event."""
        if not self._matches(document):
            return False
        if self.match is None:
            return True
        steps = paths.parse(self.match)
        expected = paths.find_values(context, steps)
        return any(
            value is not None and any(json_equal(value, other) for other in expected)
            for value in paths.find_values(document, steps)
        )

    @property
    def _matches(self) -> Callable[[Mapping[str, Any]], bool]:
        return compile_where(self.where)


class RuleOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of a rule whose JSON is converted as it is."""

    where: tuple[Comparison, ...] = ()
    delay: str | None = None
    reentry: Reentry = "always"
    cap: Cap | None = None
    priority: int = 0
    max_age: str = _DEFAULT_MAX_AGE
    on_merge: Literal["never", "always"] = "never"

    def __post_init__(self) -> None:
        for duration in (self.delay, self.max_age):
            if duration is not None:
                parse_duration(duration)
        if abs(self.priority) > MAX_PRIORITY:
            raise InvalidRequest(f"`priority` must be from -{MAX_PRIORITY} to {MAX_PRIORITY}")

    @property
    def records_entry(self) -> bool:
        """Whether re-entry depends on when the profile last entered the rule."""
        return self.reentry == "once" or isinstance(self.reentry, OncePer)


class RuleDefinition(msgspec.Struct, frozen=True, dict=True):
    """A parsed rule."""

    trigger: Trigger
    options: RuleOptions
    audience: Audience | None = None
    wait: Wait | None = None
    immediate: tuple[RuleAction, ...] = ()
    then: tuple[RuleAction, ...] = ()
    """Executed if the awaited event arrives in time."""

    else_: tuple[RuleAction, ...] = ()
    """Executed if it does not."""

    @cached_property
    def matches(self) -> Callable[[Mapping[str, Any]], bool]:
        """Compiled `where`: whether the context of a trigger event matches."""
        return compile_where(self.options.where)

    @property
    def conditions(self) -> Iterator[Condition]:
        """The conditions on profiles: what they need must be accumulated."""
        if self.audience is not None:
            yield self.audience.condition
        if self.trigger.attribute is not None:
            yield self.trigger.attribute

    def actions(self, branch: str) -> tuple[RuleAction, ...]:
        """Returns the actions of a branch; `then` and `else` are the two ends of a wait."""
        return {"then": self.then, "else": self.else_}.get(branch, self.immediate)

    @property
    def unsupported_actions(self) -> Sequence[UnsupportedAction]:
        """The actions that cannot be executed: deliveries of them fail."""
        actions_ = (*self.immediate, *self.then, *self.else_)
        return [action for action in actions_ if isinstance(action, UnsupportedAction)]


_OPTION_FIELDS = RuleOptions.__struct_fields__
RULE_FIELDS = ("trigger", "audience", "wait", "actions", *_OPTION_FIELDS)
"""The members of a rule's JSON."""


def parse_definition(document: Any) -> RuleDefinition:
    """Parses a new definition from a JSON document.

    Raises InvalidRequest with a JSON pointer in `path`, and what to write there.
    """
    definition = parse_recorded_definition(document)
    for action in definition.unsupported_actions:
        raise action.refusal()
    return definition


def parse_recorded_definition(document: Any) -> RuleDefinition:
    """Parses a recorded definition, in which an action may be unknown to this version.

    Raises InvalidRequest with a JSON pointer in `path` for anything else that is not valid.
    """
    if not isinstance(document, dict):
        raise InvalidRequest("a rule is an object with `trigger` and `actions`", path="")
    unknown = sorted(document.keys() - set(RULE_FIELDS))
    if unknown:
        raise InvalidRequest(f"a rule has no {unknown[0]!r}", path=f"/{unknown[0]}")
    present = {name: value for name, value in document.items() if value is not None}
    trigger = triggers.parse_trigger(present.get("trigger"), "/trigger")
    options = _convert(
        {name: present[name] for name in _OPTION_FIELDS if name in present}, RuleOptions, ""
    )
    audience = Audience(present["audience"], "/audience") if "audience" in present else None
    immediate = actions.parse_actions(present.get("actions", []), "/actions")
    wait, then, else_ = (
        _parse_wait(present["wait"], trigger) if "wait" in present else (None, (), ())
    )
    if wait is None and not immediate:
        raise InvalidRequest("a rule needs `actions`, or a `wait` with `then` or `else`", path="")
    if wait is not None and immediate:
        raise InvalidRequest(
            "a rule with `wait` takes its actions from `wait.then` and `wait.else`", path="/actions"
        )
    if isinstance(trigger, SystemEventTrigger) and audience is None:
        raise InvalidRequest(
            'a rule triggered by a system event needs `audience`; use {"all": []} for all profiles',
            path="/audience",
        )
    return RuleDefinition(trigger, options, audience, wait, immediate, then, else_)


def _parse_wait(
    document: Any, trigger: Trigger
) -> tuple[Wait, tuple[RuleAction, ...], tuple[RuleAction, ...]]:
    if not isinstance(document, dict):
        raise InvalidRequest("`wait` is an object with `event` and `timeout`", path="/wait")
    rest = {name: value for name, value in document.items() if name not in {"then", "else"}}
    wait = _convert(rest, Wait, "/wait")
    if wait.match is not None and not isinstance(trigger, (EventTrigger, SystemEventTrigger)):
        raise InvalidRequest(
            "`match` needs a rule that is triggered by an event or a system event",
            path="/wait/match",
        )
    then = actions.parse_actions(document.get("then", []), "/wait/then")
    else_ = actions.parse_actions(document.get("else", []), "/wait/else")
    if not then and not else_:
        raise InvalidRequest("a `wait` needs actions in `then` or `else`", path="/wait")
    return wait, then, else_


def _convert(document: dict[str, Any], kind: type[Any], pointer: str) -> Any:
    try:
        return msgspec.convert(document, kind)
    except (msgspec.ValidationError, InvalidRequest) as error:
        raise InvalidRequest(f"{error}", path=pointer) from None
