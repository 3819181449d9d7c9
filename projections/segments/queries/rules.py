"""Queries of rules and of their runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Raw
from pydantic import BaseModel, Field
from sqlalchemy import Row, Select, select, tuple_

from domain.core.errors import NotFound
from domain.core.time import format_utc, from_micros
from domain.evaluation.rule_runs import SUPPRESSION_REASONS, RunOutcome
from domain.rules.rule import definition_warnings
from projections.kit import cursors, pages
from projections.kit.pages import split_page
from projections.runtime.ports import IdentityPort
from projections.runtime.projection import Query
from projections.segments.queries.schemas import CausedAt, DefinitionWarning, caused_at_json
from projections.segments.tables import rule_run, rule_version

_v, _r = rule_version.c, rule_run.c
_ORDER = (_r.triggered_at, _r.triggered_position, _r.rule, _r.version, _r.cause)


class RuleParams(BaseModel):
    """One rule."""

    id: str = Field(description="Id of the rule")


class RuleRunPageParams(pages.PageParams):
    """A page of runs."""

    outcome: RunOutcome | None = Field(None, description="Only runs with this outcome")


class RuleRunListParams(RuleParams, RuleRunPageParams):
    """A page of the runs of a rule."""

    profile: str | None = Field(None, description="Only runs of this profile")


class ProfileRunListParams(RuleRunPageParams):
    """A page of the runs of a profile."""

    ref: str = Field(description="Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`")


class RuleSummary(BaseModel):
    """The current version of a rule."""

    id: str
    name: str
    description: str
    rule: dict[str, Any]
    warnings: list[DefinitionWarning] = Field(
        description="Actions that this version cannot execute: their deliveries fail"
    )
    enabled: bool
    archived: bool
    version: int = Field(
        description="Version: 1 for the first definition; each definition and change of status adds one"
    )
    decided: CausedAt = Field(description="When this version was recorded")
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
    """One run of a rule, with its outcome."""

    rule: str
    version: int = Field(description="Version of the definition that the run follows")
    cause: str = Field(
        description="What triggered it: the position of an event, or `@` and an instant"
    )
    profile_id: UUID = Field(description="The profile now, after any merges")
    set_off: CausedAt = Field(description="When it was triggered")
    outcome: RunOutcome
    reason: str = Field(
        description="If fired: `at_once`, `delayed`, or `then` or `else` of a wait.  If waiting: for a"
        " `delay` or an `event`.  If suppressed: "
        + "; ".join(f"`{code}`: {text}" for code, text in SUPPRESSION_REASONS.items())
    )
    since: CausedAt = Field(description="When it came to this outcome")
    due: datetime | None = Field(
        description="When it continues if nothing happens; null if it has ended"
    )
    event: dict[str, Any] | None = Field(description="What triggered it; null if suppressed")
    fired: int | None = Field(
        description="Position at which the ledger recorded the firing; null before"
    )


class RuleRunList(BaseModel):
    """A page of runs, the newest first."""

    triggers: list[RuleRunSummary]
    next: str | None
    projected_to: int


def list_rules(reader: IdentityPort, params: pages.DefinitionListParams) -> dict[str, Any]:
    """Returns a page of rules in the order of their ids."""
    query = select(rule_version).where(
        _v.workspace == reader.workspace, _v.replaced_at_position.is_(None)
    )
    if not params.archived:
        query = query.where(~_v.archived)
    page, next_cursor = pages.load_page(reader.tx, query, _v.rule, params)
    return {
        "rules": [_rule_json(row) for row in page],
        "next": next_cursor,
        "projected_to": reader.projected_to,
    }


def get_rule(reader: IdentityPort, params: RuleParams) -> dict[str, Any]:
    """Returns one rule.  Raises NotFound."""
    return {**_rule_json(_current_version(reader, params.id)), "projected_to": reader.projected_to}


def list_rule_runs(reader: IdentityPort, params: RuleRunListParams) -> dict[str, Any]:
    """Returns a page of the runs of a rule.  Raises NotFound."""
    _current_version(reader, params.id)
    query = select(rule_run).where(_r.workspace == reader.workspace, _r.rule == params.id)
    if params.profile is not None:
        profile = reader.find_profile(params.profile)
        query = query.where(_r.stream.in_(profile.streams))
    return _run_page(reader, query, params)


def list_profile_runs(reader: IdentityPort, params: ProfileRunListParams) -> dict[str, Any]:
    """Returns a page of the runs of a profile, of all rules."""
    profile = reader.find_profile(params.ref)
    query = select(rule_run).where(_r.workspace == reader.workspace, _r.stream.in_(profile.streams))
    return _run_page(reader, query, params)


def _run_page(
    reader: IdentityPort, query: Select[Any], params: RuleRunPageParams
) -> dict[str, Any]:
    if params.outcome is not None:
        query = query.where(_r.outcome == params.outcome)
    if params.cursor is not None:
        query = query.where(tuple_(*_ORDER) < tuple_(*cursors.decode_trigger(params.cursor)))
    newest = query.order_by(*(column.desc() for column in _ORDER)).limit(params.limit + 1)
    rows = reader.tx.execute(newest).all()
    page, next_page = split_page(
        rows,
        params.limit,
        lambda row: cursors.encode_trigger(tuple(getattr(row, c.name) for c in _ORDER)),
    )
    profiles = reader.profile_ids({row.stream for row in page})
    return {
        "triggers": [_run_json(row, profiles[row.stream]) for row in page],
        "next": next_page,
        "projected_to": reader.projected_to,
    }


def _current_version(reader: IdentityPort, id_: str) -> Row[Any]:
    query = select(rule_version).where(
        _v.workspace == reader.workspace, _v.rule == id_, _v.replaced_at_position.is_(None)
    )
    row = reader.tx.execute(query).first()
    if row is None:
        raise NotFound(f"rule {id_!r} does not exist", rule=id_)
    return row


def _rule_json(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.rule,
        "name": row.name,
        "description": row.description,
        "rule": Raw(row.definition),
        "warnings": definition_warnings(row.definition),
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
        "set_off": caused_at_json(row.triggered_at, row.triggered_position),
        "outcome": row.outcome,
        "reason": row.reason,
        "since": caused_at_json(row.outcome_at, row.outcome_position),
        "due": None if row.due_at is None else format_utc(from_micros(row.due_at)),
        "event": Raw(row.context) if row.context else None,
        "fired": row.fired_position,
    }


QUERIES = (
    Query("/rules", pages.DefinitionListParams, RuleList, list_rules, "List rules"),
    Query("/rules/{id}", RuleParams, RuleDetail, get_rule, "Get a rule"),
    Query(
        "/rules/{id}/triggers",
        RuleRunListParams,
        RuleRunList,
        list_rule_runs,
        "List the runs of a rule with outcome and reason",
    ),
    Query(
        "/profiles/{ref}/triggers",
        ProfileRunListParams,
        RuleRunList,
        list_profile_runs,
        "List the rule runs of a profile",
    ),
)
