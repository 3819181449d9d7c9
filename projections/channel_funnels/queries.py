"""How far messages to people came: how many, how many people, how fast, and who."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from domain.core.errors import InvalidRequest
from domain.events.channels import CHANNEL_OUTCOMES, CHANNEL_STEPS, canonical_channel
from domain.events.payload import storable_name
from domain.funnels.tally import ratio
from projections.channel_funnels import sql
from projections.channel_funnels.sql import GROUPINGS, MessageFilter
from projections.channel_funnels.tables import BITS
from projections.kit import cursors, instants
from projections.kit.shown_profile import ProfileIdentifier
from projections.runtime.projection import Query, Reader

_EPOCH = date(1970, 1, 1)
_KINDS = ("messages", "profiles")


class _MessageFilterParams(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    campaign: str | None = Field(None, description="Campaign; empty: messages of none")
    channel: str | None = Field(None, description="Channel, such as email, push, sms, whatsapp")
    template: str | None = Field(None, description="Template")
    from_: str | None = Field(
        None,
        alias="from",
        description="Messages first heard of, as a rule sent, at or after: an instant or date in `tz`",
    )
    to: str | None = Field(None, description="Likewise, before")
    tz: str = Field("UTC", description="IANA time zone of `from` and `to`, such as Europe/Berlin")

    @property
    def message_filter(self) -> MessageFilter:
        """The same, understood.  Raises InvalidRequest."""
        zone = instants.parse_zone(self.tz)
        return MessageFilter(
            None if self.campaign is None else storable_name(self.campaign),
            None if self.channel is None else canonical_channel(self.channel),
            None if self.template is None else storable_name(self.template),
            None if self.from_ is None else instants.parse_instant(self.from_, zone, "from"),
            None if self.to is None else instants.parse_instant(self.to, zone, "to"),
        )


class ChannelFunnelListParams(_MessageFilterParams):
    """Which messages, and what they are told apart by."""

    by: list[str] = Field(
        [],
        max_length=len(GROUPINGS),
        description="Tell apart by `campaign`, `channel`, `template`, `day` (UTC, of the first time),"
        " or several of them: give it more than once, or with commas",
    )
    cursor: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(500, ge=1, le=1_000)


class ChannelFunnelProfileListParams(_MessageFilterParams):
    """Which messages, and whose."""

    step: Literal[(*CHANNEL_STEPS, *CHANNEL_OUTCOMES)] = Field(  # type: ignore[valid-type]
        description="Those of whom a message took this step, or a later one; or came to this outcome"
    )
    lost: bool = Field(False, description="Only those of whom no message took a later step")
    cursor: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(50, ge=1, le=500)


class ChannelFunnelStep(BaseModel):
    """A step of the main line."""

    step: str
    messages: int = Field(description="That took this step or a later one")
    profiles: int = Field(description="Different people of whom a message did")
    conversion: float = Field(description="Share of the messages sent: 0 to 1")
    from_previous: float = Field(description="Share of the messages of the step before")
    seconds_p50: float | None = Field(description="Since the step before that is known")
    seconds_p90: float | None


class ChannelFunnelOutcome(BaseModel):
    """Something else that came of messages."""

    outcome: str
    messages: int
    profiles: int


class ChannelFunnel(BaseModel):
    """The messages of a group; without `by` of all."""

    campaign: str | None = None
    channel: str | None = None
    template: str | None = None
    day: date | None = None
    steps: list[ChannelFunnelStep]
    outcomes: list[ChannelFunnelOutcome]


class ChannelFunnelList(BaseModel):
    """Funnels by what was asked for."""

    channel_funnels: list[ChannelFunnel]
    next: str | None
    projected_to: int


class ReachedProfile(BaseModel):
    """Somebody behind a bar."""

    profile_id: UUID
    identifiers: list[ProfileIdentifier]
    messages: int = Field(description="How many messages of those asked for they were sent")


class ReachedProfileList(BaseModel):
    """A page of people, by their ids."""

    profiles: list[ReachedProfile]
    next: str | None
    projected_to: int


class _Group:
    """What is counted of one group."""

    def __init__(self) -> None:
        self.steps = {kind: [0] * len(CHANNEL_STEPS) for kind in _KINDS}
        self.outcomes = {kind: [0] * len(CHANNEL_OUTCOMES) for kind in _KINDS}
        self.times: Sequence[Sequence[float] | None] = [None] * len(CHANNEL_STEPS[1:])

    def add(self, kind: str, low: int, reached: int, number: int) -> None:
        for place, step in enumerate(CHANNEL_STEPS):
            if place >= low - 1 and reached & BITS[step]:
                self.steps[kind][place] += number
        for place, outcome in enumerate(CHANNEL_OUTCOMES):
            if reached & BITS[outcome]:
                self.outcomes[kind][place] += number

    def to_json(self) -> dict[str, Any]:
        messages, profiles = (self.steps[kind] for kind in _KINDS)
        before = [messages[0], *messages]
        steps = [
            {
                "step": step,
                "messages": messages[place],
                "profiles": profiles[place],
                "conversion": min(1.0, ratio(messages[place], messages[0])),
                "from_previous": min(1.0, ratio(messages[place], before[place])),
                "seconds_p50": times and times[0] / 1e6,
                "seconds_p90": times and times[1] / 1e6,
            }
            for place, (step, times) in enumerate(
                zip(CHANNEL_STEPS, (None, *self.times), strict=True)
            )
        ]
        outcomes = [
            {"outcome": it, **{kind: self.outcomes[kind][place] for kind in _KINDS}}
            for place, it in enumerate(CHANNEL_OUTCOMES)
            if self.outcomes["messages"][place]
        ]
        return {"steps": steps, "outcomes": outcomes}


def list_channel_funnels(reader: Reader, params: ChannelFunnelListParams) -> dict[str, Any]:
    """Answer how far messages came.  Raises InvalidRequest for what they cannot be told apart by."""
    by = _groupings(params.by)
    groups: dict[tuple[Any, ...], _Group] = defaultdict(_Group)
    if not by:
        groups[()] = _Group()
    for what, *row in sql.count_messages(reader, params.message_filter, by):
        group = groups[tuple(row[: len(by)])]
        low, reached, number, *times = row[len(by) :]
        if what == "times":
            group.times = times
        else:
            group.add(what, low, reached, number)
    start = 0 if params.cursor is None else cursors.decode_position(params.cursor)
    ordered = sorted(groups, key=lambda key: [(it is None, "" if it is None else it) for it in key])
    page = ordered[start : start + params.limit]
    more = start + len(page) < len(ordered)
    return {
        "channel_funnels": [_group_key(by, it) | groups[it].to_json() for it in page],
        "next": cursors.encode_position(start + len(page)) if more else None,
        "projected_to": reader.projected_to,
    }


def _groupings(values: Iterable[str]) -> Sequence[str]:
    asked = [it.strip() for each in values for it in each.split(",")]
    for each in asked:
        if each not in GROUPINGS:
            raise InvalidRequest(f"by is one or more of {', '.join(GROUPINGS)}; not {each[:50]!r}")
    return [it for it in GROUPINGS if it in asked]


def _group_key(by: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    shown: dict[str, Any] = dict(zip(by, values, strict=True))
    if "day" in shown:
        shown["day"] = (_EPOCH + timedelta(days=shown["day"])).isoformat()
    if "campaign" in shown:
        shown["campaign"] = shown["campaign"] or None
    return shown


def list_reached_profiles(reader: Reader, params: ChannelFunnelProfileListParams) -> dict[str, Any]:
    """Answer a page of the people behind a step or outcome, or of those lost after a step."""
    if params.lost and params.step not in CHANNEL_STEPS[:-1]:
        raise InvalidRequest(f"people are lost after one of {', '.join(CHANNEL_STEPS[:-1])}")
    after = None if params.cursor is None else cursors.decode_profile_id(params.cursor)
    rows = sql.profiles_reached(
        reader,
        params.message_filter,
        params.step,
        lost=params.lost,
        after=after,
        limit=params.limit,
    )
    page = rows[: params.limit]
    names = reader.identifiers(reader.profiles(it.person for it in page).values())
    return {
        "profiles": [
            {
                "profile_id": it.person,
                "identifiers": [one._asdict() for one in names.get(it.person, ())],
                "messages": it.messages,
            }
            for it in page
        ],
        "next": cursors.encode_text(str(page[-1].person)) if len(rows) > len(page) else None,
        "projected_to": reader.projected_to,
    }


channel_funnels = Query(
    path="/channel-funnels",
    params=ChannelFunnelListParams,
    response_model=ChannelFunnelList,
    handler=list_channel_funnels,
    summary="How far messages came: sent, delivered, read, clicked, and what else came of them",
)

profiles = Query(
    path="/channel-funnels/profiles",
    params=ChannelFunnelProfileListParams,
    response_model=ReachedProfileList,
    handler=list_reached_profiles,
    summary="List the people behind a step of messages, or those lost after it",
)
