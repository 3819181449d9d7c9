"""Who is in a segment is what the oracle says, at every instant: as events come in, as time goes by,
and from a definition on that looks back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from domain.conditions import read
from domain.core.identifiers import Identifier
from domain.core.time import to_micros
from domain.evaluation.segment_index import Rule, Rules
from domain.evaluation.summaries import Memory
from domain.events import payload
from domain.events.events import (
    AttributeDefined,
    Event,
    Listed,
    MessageEvent,
    SegmentArchived,
    SegmentDefined,
)
from domain.events.message import Message
from domain.events.recorded import Recorded
from domain.identity.resolution import facts_of, resolve
from domain.identity.resolved_profile import Person, person_of
from domain.profiles import state as profile_state
from domain.profiles import view as profile_view
from projections import segments, timeline
from projections.runtime.projector import Projector
from projections.segments import tables
from projections.segments.backfill import bulk, sql
from projections.segments.definitions import segments as definitions
from projections.segments.state import partitioning, reader
from tests import oracle
from tests.builders import merged, tracked, unmerged
from tests.integration.projections.given import rows_of
from tests.integration.projections.history import ListFeed, recorded, stream_of
from tests.properties.test_conditions import (
    aggregated,
    comparisons,
    computation,
    conditions,
    in_order,
    occurred,
    performed,
    properties,
    scalars,
    windows,
)

MINUTE = 60_000_000
START = datetime(2026, 1, 1, tzinfo=UTC)
LAST = 80
PROJECTIONS = (timeline.projection, segments.projection)
NAMES = [
    Identifier(kind, value) for kind in ("user_id", "email", "anonymous_id") for value in ("a", "b")
]
names = st.sampled_from(NAMES)
LISTS = ("s-1", "s-2")


class Decided(NamedTuple):
    """An event of the ledger's own, at a minute."""

    event: Event
    stream: UUID


class Said(NamedTuple):
    minute: int
    """When the ledger takes it; what it tells of happened that long before, or less."""

    what: Message | Decided


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def defined(segment: str, document: Any) -> Decided:
    said = b"" if document is None else msgspec.json.encode(document)
    event = SegmentDefined(
        id=UUID(int=0), segment=segment, name=segment, condition=said, occurred_at=START
    )
    return Decided(event, UUID(int=7))


def computed(attribute: str, document: Any) -> Decided:
    event = AttributeDefined(
        id=UUID(int=0),
        attribute=attribute,
        name=attribute,
        computation=msgspec.json.encode(document),
        occurred_at=START,
    )
    return Decided(event, UUID(int=8))


def archived(segment: str) -> Decided:
    return Decided(SegmentArchived(id=UUID(int=0), segment=segment, occurred_at=START), UUID(int=7))


@st.composite
def messages(draw: st.DrawFn, minute: int) -> Message | Decided:
    kind = draw(
        st.sampled_from(
            ["track"] * 5 + ["identify", "identify", "tag", "alias", "merge", "unmerge", "list"]
        )
    )
    who, when = draw(names), at(draw(st.integers(0, minute)))
    if kind == "merge":
        policy = draw(st.sampled_from(["latest", "primary"]))
        return merged(who, draw(names), occurred_at=when, policy=policy)
    if kind == "unmerge":
        return unmerged(who, *draw(st.lists(names, max_size=3)), occurred_at=when)
    if kind == "alias":
        before = draw(names)
        either = () if before == who else (before, Identifier("anonymous_id", before.value))
        return tracked("alias", who, kind="alias", absorbs=either, occurred_at=when)
    if kind == "list":
        event = Listed(
            id=UUID(int=0),
            segment=draw(st.sampled_from(LISTS)),
            listed=draw(st.booleans()),
            occurred_at=when,
        )
        return Decided(event, stream_of(who))
    both = draw(st.lists(names, min_size=1, max_size=2))
    if kind == "identify":
        traits = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "n": scalars,
                    "deep": st.fixed_dictionaries({"n": scalars}),
                    "items": st.lists(st.fixed_dictionaries({"n": scalars}), max_size=2),
                    "tags": st.lists(st.sampled_from(["vip", "new"]), max_size=2),
                },
            )
        )
        document = {"type": "identify", "traits": traits}
        said = tracked("identify", *both, kind="identify", occurred_at=when)
        return msgspec.structs.replace(said, payload=msgspec.json.encode(document))
    if kind == "tag":
        name = draw(st.sampled_from(["Tag Added", "Tag Removed"]))
        tag = {"tag": draw(st.sampled_from(["vip", "new"]))}
        return tracked(name, *both, properties=tag, occurred_at=when)
    name = draw(st.sampled_from(["a", "b", "c"]))
    return tracked(name, *both, properties=draw(properties), occurred_at=when)


@st.composite
def histories(draw: st.DrawFn) -> list[Said]:
    minutes = sorted(draw(st.lists(st.integers(0, 14), min_size=1, max_size=9)))
    return [Said(minute, draw(messages(minute))) for minute in minutes]


def ledger(history: Sequence[Said]) -> list[Recorded]:
    """Record it, but for lists with people nobody has heard of, as the ledger refuses those.

    What is said in one minute has one time.
    """
    records: list[Recorded] = []
    for minute, what in history:
        moment = at(minute)
        if isinstance(what, Decided):
            if isinstance(what.event, Listed) and what.stream not in people(records):
                continue
            records.append(Recorded(len(records) + 1, what.stream, 1, moment, what.event))
        else:
            made = recorded([what], after=len(records))
            records += [it._replace(recorded_at=moment) for it in made]
    return records


class Stay(NamedTuple):
    """A row of `member` or of `stay`."""

    workspace: int
    segment: str
    person: UUID
    entered_at: int
    entered_by: int
    left_at: int | None = None
    left_by: int | None = None


class Kept:
    def __init__(self, dsn: str) -> None:
        self.engine = create_engine(
            dsn.replace("postgresql://", "postgresql+psycopg://", 1),
            connect_args={"options": "-c synchronous_commit=off"},
        )
        self.feed = ListFeed()
        self.projector = Projector(self.feed, self.engine, PROJECTIONS)
        self.projector.prepare()
        self._numbers = count(1)

    def project(self, records: Sequence[Recorded], size: int) -> int:
        """Project them in batches of that size, let time go by, and return the workspace."""
        workspace = next(self._numbers)
        self.feed.workspaces[workspace] = list(records)
        self.projector.catch_up(workspace, size)
        with self.engine.begin() as tx:
            segments.sweep(tx, workspace, to_micros(at(LAST)))
        return workspace

    def stays(self, workspace: int) -> list[Stay]:
        with self.engine.connect() as tx:
            inside, over, persons = (
                tx.execute(it.select().where(it.c.workspace == workspace)).all()
                for it in (tables.member, tables.stay, tables.person)
            )
            rules = definitions.in_effect(tx, workspace)
        # What is kept with a person and what is kept with a segment is the same.
        assert sorted((it.segment, it.person, it.entered_at) for it in inside) == sorted(
            (rules.rules[place].segment, it.person, entered)
            for it in persons
            for place, entered in reader.places(rules, it.inside).items()
        )
        return [Stay(*it) for it in (*inside, *over)]

    def rows(self, workspace: int) -> Any:
        return rows_of(self.engine, [segments.projection], workspace, ())


@pytest.fixture
def kept(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    # So that as few people as there are come in several parts.
    monkeypatch.setattr(partitioning, "EACH", 1)
    made = Kept(database)
    yield made
    made.engine.dispose()


def members(stays: Sequence[Any], segment: str, clock: int) -> set[UUID]:
    return {
        it.person
        for it in stays
        if it.segment == segment
        and it.entered_at <= clock
        and (it.left_at is None or clock < it.left_at)
    }


def people(records: Sequence[Recorded]) -> Mapping[UUID, Person]:
    """Return the persons whom the events are about, by their streams."""
    facts = [fact for it in records if it.event for fact in facts_of(it.event)]
    persons = [person_of(it, stream_of) for it in resolve(facts).values()]
    found = {stream: person for person in persons for stream in person.streams}
    for it in records:
        if not isinstance(it.event, MessageEvent) or it.event.subject is None:
            continue
        if it.stream not in found:
            found[it.stream] = Person(it.stream, (it.event.subject,), (it.stream,), {})
    return found


def expected(
    records: Sequence[Recorded], document: Any, clock: int, rules: Mapping[str, Any] = {}
) -> set[UUID]:
    """Say who meets the condition, by the oracle, of what the ledger has by the clock.

    ``rules`` are the conditions of other segments, that it may ask about.
    """
    known = [it for it in records if to_micros(it.recorded_at) <= clock]
    found = set()
    for person in {it.id: it for it in people(known).values()}.values():
        past = _history(known, person)
        if past is not None:
            inside = {name for name, rule in rules.items() if oracle.holds(rule, past, clock)}
            past = past._replace(segments=past.segments - rules.keys() | inside)
        if past is not None and oracle.holds(document, past, clock):
            found.add(person.id)
    return found


def _history(known: Sequence[Recorded], person: Person) -> oracle.History | None:
    events, states, lists = [], {}, {}
    for it in known:
        if it.stream not in person.streams:
            continue
        if isinstance(it.event, Listed):
            lists[it.event.segment] = it.event.listed
        elif isinstance(it.event, MessageEvent) and it.event.kind not in profile_state.DECISIONS:
            said = payload.read(it.event)
            events.append(oracle.Event(to_micros(it.event.occurred_at), said.name, said.properties))
            state = states.setdefault(it.stream, profile_state.ProfileState())
            profile_state.add(state, it.event, said)
    if not events:
        return None
    whole = profile_state.join(states, person)
    shown = profile_view.attributes(whole)
    return oracle.History(
        events,
        {key: msgspec.json.decode(value) for key, value in shown.items()},
        frozenset(profile_view.tags(whole)),
        frozenset(it.kind for it in person.identifiers),
        frozenset(it for it, listed in lists.items() if listed),
    )


def instants(records: Sequence[Recorded]) -> list[int]:
    """Return each minute, and the microseconds before and after it."""
    return sorted(
        to_micros(at(minute)) + slip
        for minute in (*range(30), 60, 62, 65, 70, LAST - 1)
        for slip in (-1, 0, 1)
    )


alone = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)


@settings(alone, max_examples=1000)
@given(
    document=conditions,
    history=histories(),
    place=st.floats(0, 1),
    size=st.integers(1, 6),
)
def test_membership_is_what_the_oracle_says_at_every_instant(
    kept, document, history, place, size
) -> None:
    holds_as_the_oracle_says(kept, document, history, round(place * len(history)), size)


def holds_as_the_oracle_says(
    kept: Kept, document: Any, history: Sequence[Said], cut: int, size: int
) -> None:
    """Define a segment after so many messages, and check who is in it from then on."""
    minute = history[cut - 1].minute if cut else 0
    whole = [
        *(Said(0, defined(it, None)) for it in LISTS),
        *history[:cut],
        Said(minute, defined("asked", document)),
        *history[cut:],
    ]
    records = ledger(whole)
    workspace = kept.project(records, 4_000)
    stays = kept.stays(workspace)
    for clock in instants(records):
        if clock >= to_micros(at(minute)):
            assert members(stays, "asked", clock) == expected(records, document, clock), clock
    readings_agree(kept, workspace, document, records)
    other = kept.project(records, size)
    assert kept.rows(other) == kept.rows(workspace)


def readings_agree(kept: Kept, workspace: int, document: Any, records: Sequence[Recorded]) -> None:
    """Check that the server gathers what is found by looking at each event."""
    position, now = records[-1].position, to_micros(records[-1].recorded_at)
    memories = Rules([Rule("asked", read(document))]).memories
    with kept.engine.begin() as tx:
        for it in filter(sql.can_gather, memories.values()):
            there = sql.gather(tx, workspace, it, position=position, now=now, until=None)
            here = sql.gather_all(tx, workspace, [sql.Gathering(it)], position)[it.key]
            assert _remembered(it, there, now) == _remembered(it, here, now)


def _remembered(memory: Memory, values: Mapping[UUID, Any], now: int) -> Mapping[UUID, Any]:
    return {stream: memory.kept(value, now) for stream, value in values.items()}


@st.composite
def busy(draw: st.DrawFn) -> list[Said]:
    """A history in which people mostly do what conditions ask for."""
    minutes = sorted(draw(st.lists(st.integers(0, 14), min_size=5, max_size=9)))
    doing = st.sampled_from(["a", "b"])

    def did(minute: int) -> Message | Decided:
        when = at(draw(st.integers(0, minute)))
        who = draw(st.lists(st.sampled_from(NAMES[:2]), min_size=1, max_size=2))
        return tracked(draw(doing), *who, properties=draw(properties), occurred_at=when)

    more = st.sampled_from([True, True, True, False])
    return [Said(it, did(it) if draw(more) else draw(messages(it))) for it in minutes]


on_events = st.builds(
    lambda it, name: it | {"event": name} if "event" in it else it,
    st.one_of(performed, performed, occurred, aggregated, in_order),
    st.sampled_from(["a", "b"]),
)


@settings(alone, max_examples=500)
@given(document=on_events, history=busy(), later=st.integers(0, 4), size=st.integers(1, 6))
def test_what_was_done_before_a_segment_was_defined_counts(
    kept, document, history, later, size
) -> None:
    holds_as_the_oracle_says(kept, document, history, len(history) - later, size)


some_numbers = st.sampled_from([-3, -1, 0, 1, 1, 2, 2.5, 0.1]) | st.sampled_from(
    [-1, 0, 1, 2, 3, 0.12345, 10**12]
)
odd_properties = st.fixed_dictionaries(
    {}, optional={"n": some_numbers | st.sampled_from(["x", "1", True, None, [1], {"n": 1}])}
)


@st.composite
def untidy(draw: st.DrawFn) -> list[Said]:
    """A history with numbers of all sorts, and with events whose time is still to come."""
    minutes = sorted(draw(st.lists(st.integers(0, 14), min_size=5, max_size=9)))

    def did(minute: int) -> Message | Decided:
        rarely = draw(st.integers(0, 9)) == 0
        when = at(draw(st.integers(minute, minute + 3) if rarely else st.integers(0, minute)))
        who = draw(st.lists(st.sampled_from(NAMES[:2]), min_size=1, max_size=2))
        return tracked("a", *who, properties=draw(odd_properties), occurred_at=when)

    more = st.sampled_from([True, True, True, False])
    return [Said(it, did(it) if draw(more) else draw(messages(it))) for it in minutes]


told_where = st.lists(
    st.builds(
        lambda op, value: {"path": "properties.n", "op": op, "value": value},
        st.sampled_from(["eq", "gt", "gte", "lt", "lte"]),
        st.sampled_from([-1, 0, 1, 2.5, 0.1]),
    )
    | st.sampled_from(["x", "1", True]).map(
        lambda it: {"path": "properties.n", "op": "eq", "value": it}
    ),
    max_size=2,
)
told_aggregate = st.builds(
    lambda fn, op, value, window: (
        {"aggregate": {"fn": fn, "path": "properties.n", "op": op, "value": value}} | window
    ),
    st.sampled_from(["sum", "sum", "avg", "min", "max"]),
    st.sampled_from(["eq", "gt", "gte", "lt", "lte"]),
    st.sampled_from([-2, 0, 1, 2.5, 3, 0.3]),
    windows,
)
told = st.builds(
    lambda it, tests: it | {"event": "a", "where": tests},
    st.one_of(performed, occurred, told_aggregate),
    told_where,
)
told_on_the_server = st.one_of(
    told,
    st.builds(
        lambda how, parts: {how: parts},
        st.sampled_from(["all", "any", "none"]),
        st.lists(told, min_size=1, max_size=3),
    ),
    st.builds(lambda one, other: {"all": [one, {"none": [other]}]}, told, told),
)


@settings(alone, max_examples=500)
@given(
    document=told_on_the_server, history=untidy(), later=st.integers(0, 4), size=st.integers(1, 6)
)
def test_what_the_server_tells_of_a_new_segment_is_what_the_oracle_says(
    kept, document, history, later, size
) -> None:
    assert bulk.members_of(read(document), to_micros(START)) is not None
    holds_as_the_oracle_says(kept, document, history, len(history) - later, size)


@settings(alone, max_examples=200)
@given(
    documents=st.tuples(on_events, on_events),
    history=busy(),
    places=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    size=st.integers(1, 6),
)
def test_segments_that_are_defined_one_after_the_other_each_look_back(
    kept, documents, history, places, size
) -> None:
    """Whoever did something before the one, between the two, or after both."""
    cuts = [round(place * len(history)) for place in places]
    minutes = [history[cut - 1].minute if cut else 0 for cut in cuts]
    whole = [
        *(Said(0, defined(it, None)) for it in LISTS),
        *history[: cuts[0]],
        Said(minutes[0], defined("one", documents[0])),
        *history[cuts[0] : cuts[1]],
        Said(minutes[1], defined("other", documents[1])),
        *history[cuts[1] :],
    ]
    records = ledger(whole)
    workspace = kept.project(records, 4_000)
    stays = kept.stays(workspace)
    for name, minute, document in zip(("one", "other"), minutes, documents, strict=True):
        for clock in instants(records):
            if clock >= to_micros(at(minute)):
                assert members(stays, name, clock) == expected(records, document, clock), clock
    other = kept.project(records, size)
    assert kept.rows(other) == kept.rows(workspace)


own = conditions.filter(lambda it: "s-2" not in repr(it))
"""Conditions of s-2 itself."""


@settings(alone, max_examples=200)
@given(
    document=conditions,
    rules=st.tuples(own, own),
    history=histories(),
    places=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)).map(sorted),
    size=st.integers(1, 6),
)
def test_a_rule_that_asks_about_another_follows_what_is_decided_about_that(
    kept, document, rules, history, places, size
) -> None:
    """The other is changed, and in the end nobody may be in the one that asks."""
    cuts = [round(place * len(history)) for place in places]
    begun, changed, ended = (history[cut - 1].minute if cut else 0 for cut in cuts)
    whole = [
        Said(0, defined("s-1", None)),
        Said(0, defined("s-2", rules[0])),
        *history[: cuts[0]],
        Said(begun, defined("asked", {"any": [document, {"segment": "s-2"}]})),
        *history[cuts[0] : cuts[1]],
        Said(changed, defined("s-2", rules[1])),
        *history[cuts[1] : cuts[2]],
        Said(ended, archived("asked")),
        *history[cuts[2] :],
    ]
    records = ledger(whole)
    workspace = kept.project(records, 4_000)
    stays = kept.stays(workspace)
    for clock in instants(records):
        if to_micros(at(begun)) <= clock < to_micros(at(ended)):
            rule = rules[clock >= to_micros(at(changed))]
            asked = {"any": [document, {"segment": "s-2"}]}
            assert members(stays, "asked", clock) == expected(records, asked, clock, {"s-2": rule})
        elif clock >= to_micros(at(ended)):
            assert not members(stays, "asked", clock)
    other = kept.project(records, size)
    assert kept.rows(other) == kept.rows(workspace)


@settings(alone, max_examples=200)
@given(
    document=conditions,
    computations=st.tuples(computation, computation),
    compared=comparisons(st.just({}), relative=True),
    history=histories(),
    places=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    size=st.integers(1, 6),
)
def test_a_rule_that_asks_by_name_follows_what_the_name_stands_for(
    kept, document, computations, compared, history, places, size
) -> None:
    """By the computed attribute's name, and by that of a score that asks about it."""
    cuts = [round(place * len(history)) for place in places]
    begun, changed = (history[cut - 1].minute if cut else 0 for cut in cuts)

    def asks(what: Any) -> dict[str, Any]:
        return {"any": [document, {"none": [{"computed": what} | compared]}]}

    def scores(what: Any) -> dict[str, Any]:
        points = [{"when": asks(what), "points": 3}, {"when": document, "points": -1}]
        return {"score": [it for it in points if "segment" not in repr(it)]}

    high = {"op": "gte", "value": 2}
    whole = [
        *(Said(0, defined(it, None)) for it in LISTS),
        Said(0, computed("x", {"computed": computations[0]})),
        Said(0, computed("s", scores("x"))),
        *history[: cuts[0]],
        Said(begun, defined("asked", asks("x"))),
        Said(begun, defined("scored", {"score": "s"} | high)),
        *history[cuts[0] : cuts[1]],
        Said(changed, computed("x", {"computed": computations[1]})),
        *history[cuts[1] :],
    ]
    records = ledger(whole)
    workspace = kept.project(records, 4_000)
    stays = kept.stays(workspace)
    for clock in instants(records):
        if clock >= to_micros(at(begun)):
            what = computations[clock >= to_micros(at(changed))]
            assert members(stays, "asked", clock) == expected(records, asks(what), clock)
            scored = scores(what) | high
            assert members(stays, "scored", clock) == expected(records, scored, clock)
    other = kept.project(records, size)
    assert kept.rows(other) == kept.rows(workspace)
