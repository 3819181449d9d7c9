"""Questions about rules: which there are, what set them off, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from msgspec import Raw
from pydantic import BaseModel, Field
from sqlalchemy import Row, Select, select, tuple_

from domain.core.errors import NotFound
from domain.core.time import format_utc, from_micros
from domain.evaluation.rule_runs import SUPPRESSION_REASONS
from projections.kit import cursors, references
from projections.runtime.projection import Query, Reader
from projections.segments.queries.schemas import CausedAt, caused_at_json
from projections.segments.tables import rule_run, rule_version

_r, _t = rule_version.c, rule_run.c
_ORDER = (_t.set_off_at, _t.set_off_by, _t.rule, _t.version, _t.cause)

RunOutcome = Literal["waiting", "fired", "suppressed"]


class RuleListParams(BaseModel):
    """Which rules."""

    archived: bool = Field(False, description="Those that were archived, too")
    cursor: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(50, ge=1, le=500)


class RuleParams(BaseModel):
    """Which rule."""

    id: str = Field(description="Id of the rule")


class RuleRunPageParams(BaseModel):
    """Which triggers, and which page of them."""

    outcome: RunOutcome | None = Field(None, description="Only those that came to this")
    cursor: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(50, ge=1, le=500)


class RuleRunListParams(RuleParams, RuleRunPageParams):
    """Which rule's triggers."""

    profile: str | None = Field(None, description="Only those of this person")


class ProfileRunListParams(RuleRunPageParams):
    """Whose triggers."""

    ref: str = Field(description="Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`")


class RuleSummary(BaseModel):
    """A rule as it was last decided."""

    id: str
    name: str
    description: str
    rule: dict[str, Any]
    enabled: bool
    archived: bool
    version: int = Field(description="How many decisions that took")
    decided: CausedAt
    actor: str
    reason: str


class RuleList(BaseModel):
    """A page of rules."""

    rules: list[RuleSummary]
    next: str | None
    projected_to: int


class RuleDetail(RuleSummary):
    """A rule."""

    projected_to: int


class RuleRunSummary(BaseModel):
    """One time that a rule was set off, and what came of it."""

    rule: str
    version: int = Field(description="Of the definition that it goes by")
    cause: str = Field(
        description="What set it off: the position of an event, or `@` and an instant"
    )
    profile_id: UUID = Field(description="Who that is by now")
    set_off: CausedAt
    outcome: RunOutcome
    reason: str = Field(
        description="Of those that fired: `at_once`, `delayed`, or `then` or `else` of a wait.  Of those that"
        " wait: for a `delay` or an `event`.  Of those suppressed: "
        + "; ".join(f"`{code}`: {why}" for code, why in SUPPRESSION_REASONS.items())
    )
    since: CausedAt = Field(description="Since when that is so")
    due: datetime | None = Field(
        description="When it goes on by itself; null: it has come to its end"
    )
    event: dict[str, Any] | None = Field(description="What set it off; null of those suppressed")
    fired: int | None = Field(description="Position at which the ledger has that it fired")


class RuleRunList(BaseModel):
    """A page of triggers, the newest first."""

    triggers: list[RuleRunSummary]
    next: str | None
    projected_to: int


def list_rules(reader: Reader, params: RuleListParams) -> dict[str, Any]:
    """Answer a page of rules, by their ids."""
    wanted = select(rule_version).where(_r.workspace == reader.workspace, _r.until.is_(None))
    if not params.archived:
        wanted = wanted.where(~_r.archived)
    if params.cursor is not None:
        wanted = wanted.where(_r.rule > cursors.decode_text(params.cursor))
    rows = reader.tx.execute(wanted.order_by(_r.rule).limit(params.limit + 1)).all()
    page = rows[: params.limit]
    return {
        "rules": [_rule_json(it) for it in page],
        "next": cursors.encode_text(page[-1].rule) if len(rows) > len(page) else None,
        "projected_to": reader.projected_to,
    }


def get_rule(reader: Reader, params: RuleParams) -> dict[str, Any]:
    """Answer one rule.  Raises NotFound."""
    return {**_rule_json(_current_version(reader, params.id)), "projected_to": reader.projected_to}


def list_rule_runs(reader: Reader, params: RuleRunListParams) -> dict[str, Any]:
    """Answer a page of a rule's triggers.  Raises NotFound."""
    _current_version(reader, params.id)
    wanted = select(rule_run).where(_t.workspace == reader.workspace, _t.rule == params.id)
    if params.profile is not None:
        person = reader.profile(references.resolve_stream(params.profile, reader.stream_of))
        wanted = wanted.where(_t.stream.in_(person.streams))
    return _run_page(reader, wanted, params)


def list_profile_runs(reader: Reader, params: ProfileRunListParams) -> dict[str, Any]:
    """Answer a page of the triggers of a person, of all rules."""
    person = reader.profile(references.resolve_stream(params.ref, reader.stream_of))
    wanted = select(rule_run).where(_t.workspace == reader.workspace, _t.stream.in_(person.streams))
    return _run_page(reader, wanted, params)


def _run_page(reader: Reader, query: Select[Any], params: RuleRunPageParams) -> dict[str, Any]:
    if params.outcome is not None:
        query = query.where(_t.outcome == params.outcome)
    if params.cursor is not None:
        query = query.where(tuple_(*_ORDER) < tuple_(*cursors.decode_trigger(params.cursor)))
    newest = query.order_by(*(it.desc() for it in _ORDER)).limit(params.limit + 1)
    rows = reader.tx.execute(newest).all()
    page = rows[: params.limit]
    people = reader.profile_ids({it.stream for it in page})
    last = tuple(getattr(page[-1], it.name) for it in _ORDER) if page else ()
    return {
        "triggers": [_run_json(it, people[it.stream]) for it in page],
        "next": cursors.encode_trigger(last) if len(rows) > len(page) else None,
        "projected_to": reader.projected_to,
    }


def _current_version(reader: Reader, id_: str) -> Row[Any]:
    wanted = select(rule_version).where(
        _r.workspace == reader.workspace, _r.rule == id_, _r.until.is_(None)
    )
    row = reader.tx.execute(wanted).first()
    if row is None:
        raise NotFound(f"there is no rule {id_!r}", rule=id_)
    return row


def _rule_json(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.rule,
        "name": row.name,
        "description": row.description,
        "rule": Raw(row.plan),
        "enabled": row.enabled,
        "archived": row.archived,
        "version": row.version,
        "decided": caused_at_json(row.at, row.position),
        "actor": row.actor,
        "reason": row.reason,
    }


def _run_json(row: Row[Any], profile: UUID) -> dict[str, Any]:
    return {
        "rule": row.rule,
        "version": row.version,
        "cause": row.cause,
        "profile_id": profile,
        "set_off": caused_at_json(row.set_off_at, row.set_off_by),
        "outcome": row.outcome,
        "reason": row.reason,
        "since": caused_at_json(row.since_at, row.since_by),
        "due": None if row.due is None else format_utc(from_micros(row.due)),
        "event": Raw(row.context) if row.context else None,
        "fired": row.fired,
    }


QUERIES = tuple(
    Query(path=path, params=params, response_model=shape, handler=answer, summary=summary)
    for path, params, shape, answer, summary in (
        ("/rules", RuleListParams, RuleList, list_rules, "List rules"),
        ("/rules/{id}", RuleParams, RuleDetail, get_rule, "Show a rule"),
        (
            "/rules/{id}/triggers",
            RuleRunListParams,
            RuleRunList,
            list_rule_runs,
            "List what set a rule off, and what came of each, with the reason",
        ),
        (
            "/profiles/{ref}/triggers",
            ProfileRunListParams,
            RuleRunList,
            list_profile_runs,
            "List what a person set off, in all rules",
        ),
    )
)
