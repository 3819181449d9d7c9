"""Which definitions of segments are allowed, and what archiving one requires."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from domain import conditions
from domain.conditions import EvaluationInput, ProfileFacts, ReferencedValue
from domain.core.actor import Actor
from domain.core.errors import Conflict, InvalidRequest, NotFound
from domain.definitions.definition import DefinitionVersion
from domain.events.events import SegmentDefined
from domain.segments.segment import Segment

ACTOR = Actor("key-1", datetime(2026, 1, 1, tzinfo=UTC), "a test")
BUYERS = DefinitionVersion("Buyers", "", b'{"event": "purchase"}')
MANUAL_LIST = DefinitionVersion("Manual list")


def refers_to(*segments: str) -> DefinitionVersion:
    inner = ", ".join(f'{{"segment": "{segment}"}}' for segment in segments)
    return DefinitionVersion("Refers", "", f'{{"all": [{inner}]}}'.encode())


class Others(NamedTuple):
    """The definitions that a command sees."""

    segments: Mapping[str, Segment] = {}
    computed_attributes: Mapping[str, ReferencedValue] = {}

    def segment(self, id_: str) -> Segment:
        return self.segments.get(id_, Segment(id_))


ALONE = Others()


def defined(segment: str, definition: DefinitionVersion, references=ALONE) -> Segment:
    blank = Segment(segment)
    event = blank.define(definition, references, ACTOR)
    assert event is not None
    return blank.apply(event)


def test_a_definition_records_its_actor_time_and_reason() -> None:
    event = Segment("buyers").define(BUYERS, ALONE, ACTOR)
    assert event is not None
    assert isinstance(event, SegmentDefined)
    assert (event.segment, event.name, event.condition) == ("buyers", "Buyers", BUYERS.document)
    assert (event.actor, event.occurred_at, event.reason) == ("key-1", ACTOR.at, "a test")
    segment = Segment("buyers").apply(event)
    assert segment.exists
    assert segment.version == 1
    assert not segment.is_manual


def test_an_equal_definition_changes_nothing() -> None:
    assert defined("buyers", BUYERS).define(BUYERS, ALONE, ACTOR) is None


def test_an_archived_segment_does_not_exist_and_can_be_defined_again() -> None:
    segment = defined("buyers", BUYERS)
    segment = segment.apply(segment.archive((), ACTOR))
    assert not segment.exists
    with pytest.raises(NotFound):
        segment.archive((), ACTOR)
    event = segment.define(BUYERS, ALONE, ACTOR)
    assert event is not None
    assert segment.apply(event).exists


@pytest.mark.parametrize("id_", ["", "Buyers", "a b", "-a", "a" * 65, "é"])
def test_an_id_must_be_safe_in_urls(id_: str) -> None:
    with pytest.raises(InvalidRequest, match="not a valid segment id"):
        Segment(id_).define(BUYERS, ALONE, ACTOR)


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (DefinitionVersion(" "), "the name of a segment"),
        (DefinitionVersion("n" * 201), "the name of a segment"),
        (DefinitionVersion("n", "d" * 2001), "the description of a segment"),
        (DefinitionVersion("n\0"), "NUL"),
        (DefinitionVersion("n", "d\0"), "NUL"),
        (DefinitionVersion("n", "", rb'{"event": "a\u0000"}'), "NUL"),
        (DefinitionVersion("n", "", rb'{"event": "\\\u0000"}'), "NUL"),
        (DefinitionVersion("n", "", b"{"), "not valid JSON"),
        (DefinitionVersion("n", "", b'{"event": 3}'), "event"),
        (DefinitionVersion("n", "", b'{"any": [' + b'{"any": [' * 30 + b"]}" * 31), "nested|JSON"),
    ],
)
def test_an_invalid_definition_is_refused(definition: DefinitionVersion, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        Segment("s").define(definition, ALONE, ACTOR)


def test_a_manual_list_cannot_become_a_condition_or_the_reverse() -> None:
    with pytest.raises(Conflict, match="manual list"):
        defined("s", MANUAL_LIST).define(BUYERS, ALONE, ACTOR)
    with pytest.raises(Conflict, match="manual list"):
        defined("s", BUYERS).define(MANUAL_LIST, ALONE, ACTOR)


def test_a_segment_may_refer_to_existing_segments_but_not_to_itself() -> None:
    segments = {"buyers": defined("buyers", BUYERS), "list": defined("list", MANUAL_LIST)}
    segments["both"] = defined("both", refers_to("buyers", "list"), Others(segments))
    others = Others(segments)
    assert Segment("top").define(refers_to("both"), others, ACTOR) is not None
    with pytest.raises(InvalidRequest, match="no segment 'nowhere'"):
        Segment("top").define(refers_to("both", "nowhere"), others, ACTOR)
    with pytest.raises(InvalidRequest, match="itself: top → top"):
        Segment("top").define(refers_to("top"), others, ACTOR)
    with pytest.raises(InvalidRequest, match="itself: buyers → both → buyers"):
        segments["buyers"].define(refers_to("both"), others, ACTOR)


def test_an_invalid_reference_is_refused_with_a_pointer() -> None:
    inner = b'{"any": [{"event": "x"}, {"all": [{"segment": "%b"}]}]}'
    for wrong in (b"s", b"nowhere"):
        with pytest.raises(InvalidRequest) as refused:
            Segment("s").define(DefinitionVersion("n", "", inner % wrong), ALONE, ACTOR)
        assert refused.value.details["path"] == "/any/1/all/0"


def test_an_escaped_backslash_before_zeros_is_not_nul() -> None:
    assert defined("s", DefinitionVersion("n", "", rb'{"event": "\\u0000"}')).exists


def test_a_segment_in_use_cannot_be_archived() -> None:
    with pytest.raises(Conflict, match="vips; change"):
        defined("buyers", BUYERS).archive(["vips"], ACTOR)


def test_nested_references_are_found() -> None:
    condition = conditions.parse_condition(
        {"any": [{"segment": "a"}, {"none": [{"all": [{"segment": "b"}]}]}]}
    )
    assert conditions.referenced_segments(condition) == {"a", "b"}


@pytest.mark.parametrize("digits", ["1e400", "9" * 400, "-" + "9" * 400])
def test_a_number_beyond_the_range_of_floats_is_refused(digits: str) -> None:
    condition = b'{"attribute": "a", "op": "gt", "value": %b}' % digits.encode()
    with pytest.raises(InvalidRequest):
        Segment("s").define(DefinitionVersion("n", "", condition), ALONE, ACTOR)
    larger = conditions.parse_condition({"attribute": "a", "op": "gt", "value": 1})
    assert not larger.holds(EvaluationInput({}, lambda: ProfileFacts({"a": 10**400})), 0)
    assert larger.holds(EvaluationInput({}, lambda: ProfileFacts({"a": 10**300})), 0)
