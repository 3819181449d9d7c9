"""Queries of channel funnels: counts, durations, and the profiles behind a step."""

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
from projections.kit import cursors, instants, pages
from projections.kit.pages import split_page
from projections.kit.shown_profile import ProfileIdentifier
from projections.runtime.ports import ProfilePort
from projections.runtime.projection import Query

_EPOCH = date(1970, 1, 1)
_KINDS = ("messages", "profiles")


class _MessageFilterParams(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    campaign: str | None = Field(None, description="Campaign; empty: messages without one")
    channel: str | None = Field(None, description="Channel, such as email, push, sms, whatsapp")
    template: str | None = Field(None, description="Template")
    from_: str | None = Field(
        None,
        alias="from",
        description="First event of the message, usually its sending, at or after: an instant or date in `tz`",
    )
    to: str | None = Field(
        None, description="First event of the message before: an instant or date in `tz`"
    )
    tz: str = Field("UTC", description="IANA time zone of `from` and `to`, such as Europe/Berlin")

    @property
    def message_filter(self) -> MessageFilter:
        """The filter that the parameters describe.  Raises InvalidRequest."""
        zone = instants.parse_zone(self.tz)
        return MessageFilter(
            None if self.campaign is None else storable_name(self.campaign),
            None if self.channel is None else canonical_channel(self.channel),
            None if self.template is None else storable_name(self.template),
            None if self.from_ is None else instants.parse_instant(self.from_, zone, "from"),
            None if self.to is None else instants.parse_instant(self.to, zone, "to"),
        )


class ChannelFunnelListParams(_MessageFilterParams):
    """Filters and groups of messages, and a page."""

    by: list[str] = Field(
        [],
        max_length=len(GROUPINGS),
        description="Group by `campaign`, `channel`, `template`, `day` (UTC, of the first time), or"
        " several of them: repeat the parameter, or separate with commas",
    )
    cursor: str | None = Field(None, description="`next` of the previous page")
    limit: int = Field(500, ge=1, le=1_000)


class ChannelFunnelProfileListParams(_MessageFilterParams, pages.PageParams):
    """Filters of messages, a step, and a page of profiles."""

    step: Literal[(*CHANNEL_STEPS, *CHANNEL_OUTCOMES)] = Field(  # type: ignore[valid-type]
        description="Profiles with a message that took this step or a later one, or had this outcome"
    )
    lost: bool = Field(False, description="Only profiles with no message that took a later step")


class ChannelFunnelStep(BaseModel):
    """How many messages and profiles reached a step."""

    step: str
    messages: int = Field(description="Messages that took this step or a later one")
    profiles: int = Field(description="Profiles with such a message")
    conversion: float = Field(description="Share of the messages sent: 0 to 1")
    from_previous: float = Field(description="Share of the messages of the previous step: 0 to 1")
    seconds_p50: float | None = Field(
        description="Median seconds since the latest known step before"
    )
    seconds_p90: float | None


class ChannelFunnelOutcome(BaseModel):
    """How many messages and profiles had an outcome beside the steps, such as `failed`."""

    outcome: str
    messages: int
    profiles: int


class ChannelFunnel(BaseModel):
    """Steps and outcomes of one group of messages; without `by`, of all."""

    campaign: str | None = None
    channel: str | None = None
    template: str | None = None
    day: date | None = None
    steps: list[ChannelFunnelStep]
    outcomes: list[ChannelFunnelOutcome]


class ChannelFunnelList(BaseModel):
    """A page of groups."""

    channel_funnels: list[ChannelFunnel]
    next: str | None
    projected_to: int


class ReachedProfile(BaseModel):
    """A profile behind a step or outcome."""

    profile_id: UUID
    identifiers: list[ProfileIdentifier]
    messages: int = Field(description="How many of the filtered messages the profile was sent")


class ReachedProfileList(BaseModel):
    """A page of profiles, by id."""

    profiles: list[ReachedProfile]
    next: str | None
    projected_to: int


class _Group:
    """Counts and durations of one group."""

    def __init__(self) -> None:
        self.steps = {kind: [0] * len(CHANNEL_STEPS) for kind in _KINDS}
        self.outcomes = {kind: [0] * len(CHANNEL_OUTCOMES) for kind in _KINDS}
        self.times: Sequence[Sequence[float] | None] = [None] * len(CHANNEL_STEPS[1:])

    def add(self, kind: str, implied_from: int, reached_bits: int, count: int) -> None:
        for index, step in enumerate(CHANNEL_STEPS):
            if index >= implied_from - 1 and reached_bits & BITS[step]:
                self.steps[kind][index] += count
        for index, outcome in enumerate(CHANNEL_OUTCOMES):
            if reached_bits & BITS[outcome]:
                self.outcomes[kind][index] += count

    def to_json(self) -> dict[str, Any]:
        messages, profiles = (self.steps[kind] for kind in _KINDS)
        before = [messages[0], *messages]
        steps = [
            {
                "step": step,
                "messages": messages[index],
                "profiles": profiles[index],
                "conversion": min(1.0, ratio(messages[index], messages[0])),
                "from_previous": min(1.0, ratio(messages[index], before[index])),
                "seconds_p50": times and times[0] / 1e6,
                "seconds_p90": times and times[1] / 1e6,
            }
            for index, (step, times) in enumerate(
                zip(CHANNEL_STEPS, (None, *self.times), strict=True)
            )
        ]
        outcomes = [
            {"outcome": name, **{kind: self.outcomes[kind][index] for kind in _KINDS}}
            for index, name in enumerate(CHANNEL_OUTCOMES)
            if self.outcomes["messages"][index]
        ]
        return {"steps": steps, "outcomes": outcomes}


def list_channel_funnels(reader: ProfilePort, params: ChannelFunnelListParams) -> dict[str, Any]:
    """Returns message funnels by group.  Raises InvalidRequest for an unknown group."""
    by = _groupings(params.by)
    groups: dict[tuple[Any, ...], _Group] = defaultdict(_Group)
    if not by:
        groups[()] = _Group()
    for kind, *row in sql.count_messages(reader, params.message_filter, by):
        group = groups[tuple(row[: len(by)])]
        implied_from, reached_bits, count, *times = row[len(by) :]
        if kind == "times":
            group.times = times
        else:
            group.add(kind, implied_from, reached_bits, count)
    start = 0 if params.cursor is None else cursors.decode_position(params.cursor)
    ordered = sorted(groups, key=lambda key: [(v is None, "" if v is None else v) for v in key])
    page = ordered[start : start + params.limit]
    more = start + len(page) < len(ordered)
    return {
        "channel_funnels": [_group_key(by, key) | groups[key].to_json() for key in page],
        "next": cursors.encode_position(start + len(page)) if more else None,
        "projected_to": reader.projected_to,
    }


def _groupings(values: Iterable[str]) -> Sequence[str]:
    names = [name.strip() for value in values for name in value.split(",")]
    for name in names:
        if name not in GROUPINGS:
            raise InvalidRequest(
                f"cannot group messages by {name[:50]!r}: by is one or more of {', '.join(GROUPINGS)}"
            )
    return [name for name in GROUPINGS if name in names]


def _group_key(by: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    key: dict[str, Any] = dict(zip(by, values, strict=True))
    if "day" in key:
        key["day"] = (_EPOCH + timedelta(days=key["day"])).isoformat()
    if "campaign" in key:
        key["campaign"] = key["campaign"] or None
    return key


def list_reached_profiles(
    reader: ProfilePort, params: ChannelFunnelProfileListParams
) -> dict[str, Any]:
    """Returns a page of the profiles that reached a step or outcome, or were lost after a step."""
    if params.lost and params.step not in CHANNEL_STEPS[:-1]:
        raise InvalidRequest(
            f"`lost` needs one of the steps {', '.join(CHANNEL_STEPS[:-1])}; not {params.step!r}"
        )
    after = None if params.cursor is None else cursors.decode_profile_id(params.cursor)
    rows = sql.profiles_reached(
        reader,
        params.message_filter,
        params.step,
        lost=params.lost,
        after=after,
        limit=params.limit,
    )
    page, next_page = split_page(
        rows, params.limit, lambda row: cursors.encode_text(str(row.profile_id))
    )
    identifiers = reader.identifiers(reader.profiles(row.profile_id for row in page).values())
    return {
        "profiles": [
            {
                "profile_id": row.profile_id,
                "identifiers": [i._asdict() for i in identifiers.get(row.profile_id, ())],
                "messages": row.messages,
            }
            for row in page
        ],
        "next": next_page,
        "projected_to": reader.projected_to,
    }


channel_funnels = Query(
    "/channel-funnels",
    ChannelFunnelListParams,
    ChannelFunnelList,
    list_channel_funnels,
    "Get message funnels by campaign, channel, template and day",
)

profiles = Query(
    "/channel-funnels/profiles",
    ChannelFunnelProfileListParams,
    ReachedProfileList,
    list_reached_profiles,
    "List profiles that reached, or were lost after, a step of messages",
)
