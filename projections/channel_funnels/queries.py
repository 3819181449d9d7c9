"""How far messages to people came: how many, how many people, how fast, and who."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from domain.core.errors import InvalidRequest
from domain.events.channels import OUTCOMES, STEPS, channel_of
from domain.events.payload import name_of
from domain.funnels.tally import share
from projections.channel_funnels import sql
from projections.channel_funnels.sql import BY, Which
from projections.channel_funnels.tables import BITS
from projections.kit import cursors, instants
from projections.kit.shown_profile import ShownIdentifier
from projections.runtime.projection import Query, Reader

_EPOCH = date(1970, 1, 1)
_KINDS = ("messages", "profiles")


class _Params(BaseModel):
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
    def which(self) -> Which:
        """The same, understood.  Raises InvalidRequest."""
        zone = instants.zone(self.tz)
        return Which(
            None if self.campaign is None else name_of(self.campaign),
            None if self.channel is None else channel_of(self.channel),
            None if self.template is None else name_of(self.template),
            None if self.from_ is None else instants.instant(self.from_, zone, "from"),
            None if self.to is None else instants.instant(self.to, zone, "to"),
        )


class FunnelsParams(_Params):
    """Which messages, and what they are told apart by."""

    by: list[str] = Field(
        [],
        max_length=len(BY),
        description="Tell apart by `campaign`, `channel`, `template`, `day` (UTC, of the first time),"
        " or several of them: give it more than once, or with commas",
    )
    cursor: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(500, ge=1, le=1_000)


class ProfilesParams(_Params):
    """Which messages, and whose."""

    step: Literal[(*STEPS, *OUTCOMES)] = Field(  # type: ignore[valid-type]
        description="Those of whom a message took this step, or a later one; or came to this outcome"
    )
    lost: bool = Field(False, description="Only those of whom no message took a later step")
    cursor: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(50, ge=1, le=500)


class Step(BaseModel):
    """A step of the main line."""

    step: str
    messages: int = Field(description="That took this step or a later one")
    profiles: int = Field(description="Different people of whom a message did")
    conversion: float = Field(description="Share of the messages sent: 0 to 1")
    from_previous: float = Field(description="Share of the messages of the step before")
    seconds_p50: float | None = Field(description="Since the step before that is known")
    seconds_p90: float | None


class Outcome(BaseModel):
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
    steps: list[Step]
    outcomes: list[Outcome]


class ChannelFunnels(BaseModel):
    """Funnels by what was asked for."""

    channel_funnels: list[ChannelFunnel]
    next: str | None
    projected_to: int


class Reached(BaseModel):
    """Somebody behind a bar."""

    profile_id: UUID
    identifiers: list[ShownIdentifier]
    messages: int = Field(description="How many messages of those asked for they were sent")


class Profiles(BaseModel):
    """A page of people, by their ids."""

    profiles: list[Reached]
    next: str | None
    projected_to: int


class _Group:
    """What is counted of one group."""

    def __init__(self) -> None:
        self.steps = {kind: [0] * len(STEPS) for kind in _KINDS}
        self.outcomes = {kind: [0] * len(OUTCOMES) for kind in _KINDS}
        self.times: Sequence[Sequence[float] | None] = [None] * len(STEPS[1:])

    def add(self, kind: str, low: int, reached: int, number: int) -> None:
        for place, step in enumerate(STEPS):
            if place >= low - 1 and reached & BITS[step]:
                self.steps[kind][place] += number
        for place, outcome in enumerate(OUTCOMES):
            if reached & BITS[outcome]:
                self.outcomes[kind][place] += number

    def shown(self) -> dict[str, Any]:
        messages, profiles = (self.steps[kind] for kind in _KINDS)
        before = [messages[0], *messages]
        steps = [
            {
                "step": step,
                "messages": messages[place],
                "profiles": profiles[place],
                "conversion": min(1.0, share(messages[place], messages[0])),
                "from_previous": min(1.0, share(messages[place], before[place])),
                "seconds_p50": times and times[0] / 1e6,
                "seconds_p90": times and times[1] / 1e6,
            }
            for place, (step, times) in enumerate(zip(STEPS, (None, *self.times), strict=True))
        ]
        outcomes = [
            {"outcome": it, **{kind: self.outcomes[kind][place] for kind in _KINDS}}
            for place, it in enumerate(OUTCOMES)
            if self.outcomes["messages"][place]
        ]
        return {"steps": steps, "outcomes": outcomes}


def answer_funnels(reader: Reader, params: FunnelsParams) -> dict[str, Any]:
    """Answer how far messages came.  Raises InvalidRequest for what they cannot be told apart by."""
    by = _by(params.by)
    groups: dict[tuple[Any, ...], _Group] = defaultdict(_Group)
    if not by:
        groups[()] = _Group()
    for what, *row in sql.counted(reader, params.which, by):
        group = groups[tuple(row[: len(by)])]
        low, reached, number, *times = row[len(by) :]
        if what == "times":
            group.times = times
        else:
            group.add(what, low, reached, number)
    start = 0 if params.cursor is None else cursors.position(params.cursor)
    ordered = sorted(groups, key=lambda key: [(it is None, "" if it is None else it) for it in key])
    page = ordered[start : start + params.limit]
    more = start + len(page) < len(ordered)
    return {
        "channel_funnels": [_key(by, it) | groups[it].shown() for it in page],
        "next": cursors.after_position(start + len(page)) if more else None,
        "projected_to": reader.projected_to,
    }


def _by(said: Iterable[str]) -> Sequence[str]:
    asked = [it.strip() for each in said for it in each.split(",")]
    for each in asked:
        if each not in BY:
            raise InvalidRequest(f"by is one or more of {', '.join(BY)}; not {each[:50]!r}")
    return [it for it in BY if it in asked]


def _key(by: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    shown: dict[str, Any] = dict(zip(by, values, strict=True))
    if "day" in shown:
        shown["day"] = (_EPOCH + timedelta(days=shown["day"])).isoformat()
    if "campaign" in shown:
        shown["campaign"] = shown["campaign"] or None
    return shown


def answer_profiles(reader: Reader, params: ProfilesParams) -> dict[str, Any]:
    """Answer a page of the people behind a step or outcome, or of those lost after a step."""
    if params.lost and params.step not in STEPS[:-1]:
        raise InvalidRequest(f"people are lost after one of {', '.join(STEPS[:-1])}")
    after = None if params.cursor is None else cursors.person(params.cursor)
    rows = sql.persons(
        reader, params.which, params.step, lost=params.lost, after=after, limit=params.limit
    )
    page = rows[: params.limit]
    names = reader.names(reader.persons(it.person for it in page).values())
    return {
        "profiles": [
            {
                "profile_id": it.person,
                "identifiers": [one._asdict() for one in names.get(it.person, ())],
                "messages": it.messages,
            }
            for it in page
        ],
        "next": cursors.after_text(str(page[-1].person)) if len(rows) > len(page) else None,
        "projected_to": reader.projected_to,
    }


channel_funnels = Query(
    path="/channel-funnels",
    params=FunnelsParams,
    answers=ChannelFunnels,
    answer=answer_funnels,
    summary="How far messages came: sent, delivered, read, clicked, and what else came of them",
)

profiles = Query(
    path="/channel-funnels/profiles",
    params=ProfilesParams,
    answers=Profiles,
    answer=answer_profiles,
    summary="List the people behind a step of messages, or those lost after it",
)
