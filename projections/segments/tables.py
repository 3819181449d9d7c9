"""Tables of the segments read model: definitions, accumulators, memberships and rule runs.

Instants are microseconds since 1970 UTC on the ledger's clock, so that they compare as conditions do.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
)

from projections.kit.columns import definition_columns, stream_key, workspace_key
from projections.runtime.projection import FOR_QUERIES, schema_name

NAME, VERSION = "segments", 11
metadata = MetaData(schema=schema_name(NAME, VERSION))

segment_version = Table(
    "segment_version",
    metadata,
    workspace_key(),
    Column("segment", Text(collation="C"), primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("registered_since", BigInteger, nullable=False),
    Column("replaced_at_position", BigInteger),
    Column("archived", Boolean, nullable=False),
    *definition_columns("condition"),
)
"""All versions of all segments.

``registered_since`` is the position from which on the segment has existed without a break,
``replaced_at_position`` that of its next version, null in the current one.
"""

accumulator_registration = Table(
    "accumulator",
    metadata,
    workspace_key(),
    Column("number", BigInteger, primary_key=True),
    Column("key", Text, nullable=False),
    Column("since_at", BigInteger, nullable=False),
    Column("since_position", BigInteger, nullable=False),
)
"""Keys of the accumulators in use, each with a number that is never used again.

``since_at`` and ``since_position`` are those of the first definition that required it.
"""

computed_attribute = Table(
    "computed_attribute",
    metadata,
    workspace_key(),
    Column("attribute", Text(collation="C"), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("archived", Boolean, nullable=False),
    *definition_columns("computation"),
)
"""The current version of each computed attribute; ``position`` is that of its definition."""

stream = Table(
    "stream",
    metadata,
    *stream_key(),
    Column("profile", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("guessed", Boolean, nullable=False),
    Column("demoted_at", DateTime(timezone=True)),
    Column("first_event_at", BigInteger),
    Column("first_seen_position", BigInteger, nullable=False),
)
"""The profile of each stream, as of this read model's position.

``first_event_at`` is when its first message occurred, null if it has none: see `domain.evaluation.engine`.
``first_seen_position`` is the position of the first event that named it.
"""

accumulator_state = Table(
    "accumulator_state",
    metadata,
    *stream_key(),
    Column("values", LargeBinary, nullable=False),
    Column("backfilled_to", BigInteger, nullable=False),
    postgresql_with={"fillfactor": 70},
)
"""Accumulators of each stream by their numbers, as MessagePack: see `domain.evaluation.accumulator_state`.

An accumulator registered after the position ``backfilled_to`` is not in it yet: see
`projections.segments.backfill.lazy`.

One row a stream, because an event changes several accumulators.  Those that no definition requires any
more are dropped the next time that the row is written.
"""

membership_state = Table(
    "membership_state",
    metadata,
    workspace_key(),
    Column("profile", Uuid, primary_key=True),
    Column("member_of", LargeBinary, nullable=False),
    Column("next_timer", BigInteger),
    postgresql_with={"fillfactor": 70},
)
"""The segments that each profile is in, and when to evaluate it next if nothing happens.

``member_of`` holds pairs of eight-byte integers in the order of entering: the segment's
``registered_since`` and ``member.entered_at``.
"""

member = Table(
    "member",
    metadata,
    Column("workspace", Integer),
    Column("segment", Text(collation="C")),
    Column("profile", Uuid, nullable=False),
    Column("entered_at", BigInteger),
    Column("entered_position", BigInteger, nullable=False),
    PrimaryKeyConstraint("workspace", "segment", "entered_at", "profile"),
)
"""Current members of each segment.

``entered_position``, and ``left_position`` in ``membership_interval``, is that of the event that caused it,
0 if a timer did.  There is one index only, because events write more of these rows than of any other:
the segments of a profile are found through ``membership_state.member_of``.
"""

membership_interval = Table(
    "membership_interval",
    metadata,
    Column("workspace", Integer),
    Column("segment", Text(collation="C")),
    Column("profile", Uuid),
    Column("entered_at", BigInteger),
    Column("entered_position", BigInteger),
    Column("left_at", BigInteger, nullable=False),
    Column("left_position", BigInteger, nullable=False),
    PrimaryKeyConstraint("workspace", "profile", "segment", "entered_at", "entered_position"),
)
"""Past memberships, each with its beginning and end."""

rule_version = Table(
    "rule_version",
    metadata,
    workspace_key(),
    Column("rule", Text(collation="C"), primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("replaced_at_position", BigInteger),
    Column("enabled", Boolean, nullable=False),
    Column("archived", Boolean, nullable=False),
    Column("definition_version", Integer, nullable=False),
    Column("has_waiting_runs", Boolean, nullable=False),
    *definition_columns("definition"),
)
"""All versions of all rules: definitions, and changes of status.

``replaced_at_position`` is as in ``segment_version``.  ``definition_version`` is the version of the
definition that applied; ``has_waiting_runs`` says whether runs still waited by it when it was replaced.
"""

rule_run = Table(
    "rule_run",
    metadata,
    Column("workspace", Integer),
    Column("rule", Text(collation="C")),
    Column("version", Integer),
    Column("cause", Text(collation="C")),
    Column("stream", Uuid, nullable=False),
    Column("profile", Uuid, nullable=False),
    Column("triggered_at", BigInteger, nullable=False),
    Column("triggered_position", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("outcome_at", BigInteger, nullable=False),
    Column("outcome_position", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    Column("priority", Integer, nullable=False),
    Column("context", LargeBinary, nullable=False),
    Column("fired_position", BigInteger),
    PrimaryKeyConstraint("workspace", "cause", "rule", "version"),
)
"""Runs of rules, one for each time that a rule was triggered: see `domain.evaluation.rule_runs`.

``fired_position`` is that of the event by which the ledger recorded the firing.
"""

Index("stream_by_profile", stream.c.workspace, stream.c.profile)
Index(
    "membership_interval_by_segment",
    membership_interval.c.workspace,
    membership_interval.c.segment,
    membership_interval.c.entered_at,
    membership_interval.c.profile,
    info=FOR_QUERIES,
)
Index(
    "membership_state_by_timer",
    membership_state.c.workspace,
    membership_state.c.next_timer,
    postgresql_where=membership_state.c.next_timer.is_not(None),
)
Index(
    "segment_version_current",
    segment_version.c.workspace,
    segment_version.c.segment,
    postgresql_where=segment_version.c.replaced_at_position.is_(None),
)
Index(
    "rule_version_current",
    rule_version.c.workspace,
    rule_version.c.rule,
    postgresql_where=rule_version.c.replaced_at_position.is_(None)
    | rule_version.c.has_waiting_runs,
)
_waiting = rule_run.c.due_at.is_not(None)
Index("rule_run_by_due", rule_run.c.workspace, rule_run.c.due_at, postgresql_where=_waiting)
Index(
    "rule_run_waiting",
    rule_run.c.workspace,
    rule_run.c.rule,
    rule_run.c.version,
    postgresql_where=_waiting,
)
Index(
    "rule_run_waiting_by_stream",
    rule_run.c.workspace,
    rule_run.c.stream,
    postgresql_where=_waiting,
)
Index("rule_run_by_stream", rule_run.c.workspace, rule_run.c.stream, rule_run.c.triggered_at)
Index(
    "rule_run_of_rule",
    rule_run.c.workspace,
    rule_run.c.rule,
    rule_run.c.triggered_at.desc(),
    rule_run.c.triggered_position.desc(),
)
Index(
    "rule_run_to_fire",
    rule_run.c.workspace,
    rule_run.c.outcome_at,
    postgresql_where=(rule_run.c.outcome == "fired") & rule_run.c.fired_position.is_(None),
)

claim_limit = Table(
    "claim_limit",
    metadata,
    *stream_key(),
    Column("at", DateTime(timezone=True), nullable=False),
    *(
        Column(f"{side}_{part}", Text, nullable=False)
        for side in ("left", "right")
        for part in ("kind", "value")
    ),
)
"""Identifiers with as many claims as count, and the last of these: `domain.identity.claims`.

A later one joins nothing, so no facts are loaded for it, however many there are of the identifier.
"""
