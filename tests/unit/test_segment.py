"""What may be decided about a segment."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain import conditions
from domain.conditions import EvaluationInput, ProfileFacts
from domain.core.errors import Conflict, InvalidRequest, NotFound
from domain.segments.segment import Actor, Segment, SegmentVersion, referenced_segments

BY = Actor("key-1", datetime(2026, 1, 1, tzinfo=UTC), "a test")
BUYERS = SegmentVersion("Buyers", "", b'{"event": "purchase"}')
LIST = SegmentVersion("By hand")


def asks(*segments: str) -> SegmentVersion:
    inner = ", ".join(f'{{"segment": "{it}"}}' for it in segments)
    return SegmentVersion("Asks", "", f'{{"all": [{inner}]}}'.encode())


def nobody(segment: str) -> Segment:
    return Segment(segment)


def defined(segment: str, definition: SegmentVersion, others=nobody) -> Segment:
    blank = Segment(segment)
    event = blank.define(definition, others, BY)
    assert event is not None
    return blank.apply(event)


def test_a_definition_is_kept_with_who_when_and_why() -> None:
    event = Segment("buyers").define(BUYERS, nobody, BY)
    assert event is not None
    assert (event.segment, event.name, event.condition) == ("buyers", "Buyers", BUYERS.condition)
    assert (event.actor, event.occurred_at, event.reason) == ("key-1", BY.at, "a test")
    segment = Segment("buyers").apply(event)
    assert segment.exists
    assert segment.version == 1
    assert not segment.is_manual


def test_saying_the_same_again_decides_nothing() -> None:
    assert defined("buyers", BUYERS).define(BUYERS, nobody, BY) is None


def test_an_archived_segment_is_not_there_and_can_be_defined_again() -> None:
    segment = defined("buyers", BUYERS)
    segment = segment.apply(segment.archive({}, BY))
    assert not segment.exists
    with pytest.raises(NotFound):
        segment.archive({}, BY)
    event = segment.define(BUYERS, nobody, BY)
    assert event is not None
    assert segment.apply(event).exists


@pytest.mark.parametrize("id_", ["", "Buyers", "a b", "-a", "a" * 65, "é"])
def test_an_id_is_fit_for_addresses(id_: str) -> None:
    with pytest.raises(InvalidRequest, match="not a valid segment id"):
        Segment(id_).define(BUYERS, nobody, BY)


@pytest.mark.parametrize(
    ("definition", "says"),
    [
        (SegmentVersion(" "), "the name of a segment"),
        (SegmentVersion("n" * 201), "the name of a segment"),
        (SegmentVersion("n", "d" * 2001), "the description of a segment"),
        (SegmentVersion("n\0"), "NUL"),
        (SegmentVersion("n", "d\0"), "NUL"),
        (SegmentVersion("n", "", rb'{"event": "a\u0000"}'), "NUL"),
        (SegmentVersion("n", "", rb'{"event": "\\\u0000"}'), "NUL"),
        (SegmentVersion("n", "", b"{"), "not valid JSON"),
        (SegmentVersion("n", "", b'{"event": 3}'), "event"),
        (SegmentVersion("n", "", b'{"any": [' + b'{"any": [' * 30 + b"]}" * 31), "nested|JSON"),
    ],
)
def test_what_cannot_be_is_refused(definition: SegmentVersion, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        Segment("s").define(definition, nobody, BY)


def test_a_list_stays_a_list() -> None:
    with pytest.raises(Conflict, match="by hand"):
        defined("s", LIST).define(BUYERS, nobody, BY)
    with pytest.raises(Conflict, match="by hand"):
        defined("s", BUYERS).define(LIST, nobody, BY)


def test_a_segment_may_ask_about_others_that_are_there_and_not_about_itself() -> None:
    known = {"buyers": defined("buyers", BUYERS), "list": defined("list", LIST)}
    known["both"] = defined("both", asks("buyers", "list"), lambda it: known[it])

    def others(segment: str) -> Segment:
        return known.get(segment, Segment(segment))

    assert Segment("top").define(asks("both"), others, BY) is not None
    with pytest.raises(InvalidRequest, match="no segment 'nowhere'"):
        Segment("top").define(asks("both", "nowhere"), others, BY)
    with pytest.raises(InvalidRequest, match="itself: top → top"):
        Segment("top").define(asks("top"), others, BY)
    with pytest.raises(InvalidRequest, match="itself: buyers → both → buyers"):
        known["buyers"].define(asks("both"), others, BY)


def test_where_a_condition_asks_too_much_is_said() -> None:
    inner = b'{"any": [{"event": "x"}, {"all": [{"segment": "%b"}]}]}'
    for wrong in (b"s", b"nowhere"):
        with pytest.raises(InvalidRequest) as refused:
            Segment("s").define(SegmentVersion("n", "", inner % wrong), nobody, BY)
        assert refused.value.details["path"] == "/any/1/all/0"


def test_a_backslash_before_zeros_is_no_nul() -> None:
    assert defined("s", SegmentVersion("n", "", rb'{"event": "\\u0000"}')).exists


def test_what_others_ask_about_stays() -> None:
    with pytest.raises(Conflict, match="vips; change"):
        defined("buyers", BUYERS).archive({"vips": "VIPs"}, BY)


def test_references_are_found_however_deep() -> None:
    condition = conditions.parse_condition(
        {"any": [{"segment": "a"}, {"none": [{"all": [{"segment": "b"}]}]}]}
    )
    assert referenced_segments(condition) == {"a", "b"}


@pytest.mark.parametrize("digits", ["1e400", "9" * 400, "-" + "9" * 400])
def test_a_number_beyond_all_floats_is_no_number(digits: str) -> None:
    condition = b'{"attribute": "a", "op": "gt", "value": %b}' % digits.encode()
    with pytest.raises(InvalidRequest):
        Segment("s").define(SegmentVersion("n", "", condition), nobody, BY)
    larger = conditions.parse_condition({"attribute": "a", "op": "gt", "value": 1})
    assert not larger.holds(EvaluationInput({}, lambda: ProfileFacts({"a": 10**400})), 0)
    assert larger.holds(EvaluationInput({}, lambda: ProfileFacts({"a": 10**300})), 0)
