"""What a rule does: what sets it off, for whom, when, how often, and what is done then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from domain.rules.actions import RuleAction
from domain.rules.audience import Audience
from domain.rules.triggers import EventTrigger, SystemEventTrigger, Trigger

MAX_CAP_TIMES = 100
"""Largest number of times that a cap may count to."""

_DEFAULT_MAX_AGE = "72h"
MAX_PRIORITY = 1_000


class OncePer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most once in a while."""

    once_per: str

    def __post_init__(self) -> None:
        parse_duration(self.once_per)


Reentry = Literal["always", "once", "not_while_waiting"] | OncePer
"""Whether a person who was taken may be taken again."""


class Cap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule fires for one person at most so many times in a while."""

    times: int
    per: str

    def __post_init__(self) -> None:
        if not 1 <= self.times <= MAX_CAP_TIMES:
            raise InvalidRequest(f"a cap counts from 1 to {MAX_CAP_TIMES} times")
        parse_duration(self.per)


class Wait(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Wait for another event of the person, and do one thing if it comes, another if it does not."""

    event: EventName
    timeout: str
    where: tuple[Comparison, ...] = ()
    match: str | None = None
    """A path at which the awaited event has the same value as the event that set the rule off."""

    def __post_init__(self) -> None:
        parse_duration(self.timeout)
        if self.match is not None:
            paths.parse(self.match)

    def accepts(self, name: str) -> bool:
        """Say whether it may be an event of this name."""
        return compile_event_name(self.event)(name)

    def is_satisfied_by(self, document: Mapping[str, Any], context: Mapping[str, Any]) -> bool:
        """Say whether it is this event that is waited for."""
        if not self._matches(document):
            return False
        if self.match is None:
            return True
        steps = paths.parse(self.match)
        theirs, ours = paths.find_values(document, steps), paths.find_values(context, steps)
        return any(it is not None and any(json_equal(it, one) for one in ours) for it in theirs)

    @property
    def _matches(self) -> Callable[[Mapping[str, Any]], bool]:
        return compile_where(self.where)


class RuleOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of a plan is plain."""

    where: tuple[Comparison, ...] = ()
    delay: str | None = None
    reentry: Reentry = "always"
    cap: Cap | None = None
    priority: int = 0
    max_age: str = _DEFAULT_MAX_AGE
    on_merge: Literal["never", "always"] = "never"

    def __post_init__(self) -> None:
        for each in (self.delay, self.max_age):
            if each is not None:
                parse_duration(each)
        if abs(self.priority) > MAX_PRIORITY:
            raise InvalidRequest(f"a priority is from -{MAX_PRIORITY} to {MAX_PRIORITY}")

    @property
    def records_entry(self) -> bool:
        """Whether it matters when somebody was last taken."""
        return self.reentry == "once" or isinstance(self.reentry, OncePer)


class RuleDefinition(msgspec.Struct, frozen=True, dict=True):
    """A rule, ready to be asked."""

    trigger: Trigger
    options: RuleOptions
    audience: Audience | None = None
    wait: Wait | None = None
    immediate: tuple[RuleAction, ...] = ()
    then: tuple[RuleAction, ...] = ()
    """If what is waited for comes."""

    else_: tuple[RuleAction, ...] = ()
    """If it does not."""

    @cached_property
    def matches(self) -> Callable[[Mapping[str, Any]], bool]:
        """What tests the context of a trigger."""
        return compile_where(self.options.where)

    @property
    def conditions(self) -> Iterator[Condition]:
        """What is asked about people, so that it is remembered what that needs."""
        if self.audience is not None:
            yield self.audience.condition
        if self.trigger.attribute is not None:
            yield self.trigger.attribute

    def actions(self, branch: str) -> tuple[RuleAction, ...]:
        """Return what is done: `then` and `else` are the ends of a wait."""
        return {"then": self.then, "else": self.else_}.get(branch, self.immediate)


_OPTION_FIELDS = RuleOptions.__struct_fields__
RULE_FIELDS = ("trigger", "audience", "wait", "actions", *_OPTION_FIELDS)
"""The members of a plan's JSON."""


def parse_definition(document: Any) -> RuleDefinition:
    """Return the plan that a JSON document spells.

    Raises InvalidRequest with the place, as a JSON pointer, and what to write there.
    """
    if not isinstance(document, dict):
        raise InvalidRequest("a rule is an object with `trigger` and `actions`", path="")
    unknown = sorted(document.keys() - set(RULE_FIELDS))
    if unknown:
        raise InvalidRequest(f"a rule has no {unknown[0]!r}", path=f"/{unknown[0]}")
    present = {name: it for name, it in document.items() if it is not None}
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
            "a rule that waits does what stands in `then` and `else` of its `wait`", path="/actions"
        )
    if isinstance(trigger, SystemEventTrigger) and audience is None:
        raise InvalidRequest(
            'a system event is for everybody; say for whom in `audience`, {"all": []} for all',
            path="/audience",
        )
    return RuleDefinition(trigger, options, audience, wait, immediate, then, else_)


def _parse_wait(
    document: Any, trigger: Trigger
) -> tuple[Wait, tuple[RuleAction, ...], tuple[RuleAction, ...]]:
    if not isinstance(document, dict):
        raise InvalidRequest("`wait` is an object with `event` and `timeout`", path="/wait")
    rest = {name: it for name, it in document.items() if name not in {"then", "else"}}
    wait = _convert(rest, Wait, "/wait")
    if wait.match is not None and not isinstance(trigger, (EventTrigger, SystemEventTrigger)):
        raise InvalidRequest(
            "`match` compares with the event that set the rule off; this one is set off by none",
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
