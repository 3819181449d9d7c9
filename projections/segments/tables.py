"""Where it is kept who is in which segment, what rules did, and what has to be remembered to tell.

Instants are microseconds since 1970 UTC, on the ledger's clock, so that they compare as conditions do.
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

from projections.runtime.projection import FOR_QUERIES, schema_name

NAME, VERSION = "segments", 9
metadata = MetaData(schema=schema_name(NAME, VERSION))

segment_version = Table(
    "definition",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("segment", Text(collation="C"), primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("archived", Boolean, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("condition", LargeBinary, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
"""All that was ever decided about segments.

``since`` is the position from which on the segment was there without a break, ``until`` that of the next
decision about it, null in the one that is in effect.
"""

accumulator_registration = Table(
    "remembered",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("key", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by", BigInteger, nullable=False),
)
"""The keys of what is remembered by now; each has a number that no other ever had or will have.

``at`` and ``by`` say since when: from the decision on that first asked for it.
"""

computed_attribute = Table(
    "attribute",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("attribute", Text(collation="C"), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("archived", Boolean, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("computation", LargeBinary, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
"""Computed attributes as they were last decided; ``position`` is that of the decision."""

stream = Table(
    "stream",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("stream", Uuid, primary_key=True),
    Column("person", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("guessed", Boolean, nullable=False),
    Column("demoted_at", DateTime(timezone=True)),
    Column("first_at", BigInteger),
    Column("met_by", BigInteger, nullable=False),
)
"""Whose each stream is, as of this read model's position; ``first_at`` is when its first message
occurred, null if there is none: see `domain.evaluation.engine`.

``met_by`` is the position at which it was first met.
"""

accumulator_state = Table(
    "memory",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("stream", Uuid, primary_key=True),
    Column("values", LargeBinary, nullable=False),
    Column("upto", BigInteger, nullable=False),
    postgresql_with={"fillfactor": 70},
)
"""What is remembered of each stream, by number, as MessagePack: see `domain.evaluation.accumulators`.

What was asked for after ``upto``, a position, is not yet in it: see `projections.segments.backfill.lazy`.

In one row, for an event touches several.  What nobody asks for any more is left out the next time that
the row is written.
"""

membership_state = Table(
    "person",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("person", Uuid, primary_key=True),
    Column("inside", LargeBinary, nullable=False),
    Column("due", BigInteger),
    postgresql_with={"fillfactor": 70},
)
"""Where each person is a member, and when that may next change by itself: see `domain.evaluation.engine`.

``inside`` is the segments' ``since``, in the order of entering, each with ``member.entered_at``: of eight bytes each.
"""

member = Table(
    "member",
    metadata,
    Column("workspace", Integer),
    Column("segment", Text(collation="C")),
    Column("person", Uuid, nullable=False),
    Column("entered_at", BigInteger),
    Column("entered_by", BigInteger, nullable=False),
    PrimaryKeyConstraint("workspace", "segment", "entered_at", "person"),
)
"""Who is in which segment, from when on.

``_by``, here and in ``stay``, is the position of what did it, 0 if only time did.  In one index only, for an
event makes more of these rows than of any other: what a person is in is told by ``person.inside``.
"""

membership_interval = Table(
    "stay",
    metadata,
    Column("workspace", Integer),
    Column("segment", Text(collation="C")),
    Column("person", Uuid),
    Column("entered_at", BigInteger),
    Column("entered_by", BigInteger),
    Column("left_at", BigInteger, nullable=False),
    Column("left_by", BigInteger, nullable=False),
    PrimaryKeyConstraint("workspace", "person", "segment", "entered_at", "entered_by"),
)
"""Who was in which segment, from when to when."""

rule_version = Table(
    "rule",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("rule", Text(collation="C"), primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("enabled", Boolean, nullable=False),
    Column("archived", Boolean, nullable=False),
    Column("defined", Integer, nullable=False),
    Column("followed", Boolean, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("plan", LargeBinary, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
"""All that was ever decided about rules.

``until`` is as in `definition`; ``defined`` is the version of the definition that was in effect then,
``followed`` says whether, at the next decision, somebody waited by it.
"""

rule_run = Table(
    "trigger",
    metadata,
    Column("workspace", Integer),
    Column("rule", Text(collation="C")),
    Column("version", Integer),
    Column("cause", Text(collation="C")),
    Column("stream", Uuid, nullable=False),
    Column("person", Uuid, nullable=False),
    Column("set_off_at", BigInteger, nullable=False),
    Column("set_off_by", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since_at", BigInteger, nullable=False),
    Column("since_by", BigInteger, nullable=False),
    Column("due", BigInteger),
    Column("priority", Integer, nullable=False),
    Column("context", LargeBinary, nullable=False),
    Column("fired", BigInteger),
    PrimaryKeyConstraint("workspace", "cause", "rule", "version"),
)
"""Each time that a rule was set off: see `domain.evaluation.rule_runs`.

``fired`` is the position at which the ledger has that it fired.
"""

Index("stream_by_person", stream.c.workspace, stream.c.person)
Index(
    "stay_by_segment",
    membership_interval.c.workspace,
    membership_interval.c.segment,
    membership_interval.c.entered_at,
    membership_interval.c.person,
    info=FOR_QUERIES,
)
Index(
    "person_by_due",
    membership_state.c.workspace,
    membership_state.c.due,
    postgresql_where=membership_state.c.due.is_not(None),
)
Index(
    "definition_in_effect",
    segment_version.c.workspace,
    segment_version.c.segment,
    postgresql_where=segment_version.c.until.is_(None),
)
Index(
    "rule_in_effect",
    rule_version.c.workspace,
    rule_version.c.rule,
    postgresql_where=rule_version.c.until.is_(None) | rule_version.c.followed,
)
_waiting = rule_run.c.due.is_not(None)
Index("trigger_by_due", rule_run.c.workspace, rule_run.c.due, postgresql_where=_waiting)
Index(
    "trigger_waiting",
    rule_run.c.workspace,
    rule_run.c.rule,
    rule_run.c.version,
    postgresql_where=_waiting,
)
Index(
    "trigger_waiting_of_stream",
    rule_run.c.workspace,
    rule_run.c.stream,
    postgresql_where=_waiting,
)
Index("trigger_by_stream", rule_run.c.workspace, rule_run.c.stream, rule_run.c.set_off_at)
Index(
    "trigger_of_rule",
    rule_run.c.workspace,
    rule_run.c.rule,
    rule_run.c.set_off_at.desc(),
    rule_run.c.set_off_by.desc(),
)
Index(
    "trigger_to_fire",
    rule_run.c.workspace,
    rule_run.c.since_at,
    postgresql_where=(rule_run.c.outcome == "fired") & rule_run.c.fired.is_(None),
)
