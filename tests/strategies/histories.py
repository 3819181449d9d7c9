"""Histories of messages as bad as sources send them: unordered, overlapping and malformed."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st

from domain.core.identifiers import Identifier
from domain.events.message import Message
from domain.profiles import facts as profile_facts
from tests.builders import NOON, anonymous, merged, tracked, unmerged, user
from tests.integration.projections.history import with_payload

words = st.sampled_from(
    ["a", "b", "a b", "total", "", "ä", "session_id", "name", "email", "tags", "tag", "token"]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**53, 2**53 + 1, 2**64 - 1, 0.0, -0.0, 1.0, 1.5, 1e300, 10.0**16]),
    st.sampled_from(["", "x", "1", "true", "\0", "x" * 65, "\U0001f600", "1234567890123456"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
odd_payloads = st.fixed_dictionaries(
    {},
    optional={
        "properties": st.dictionaries(words, values, max_size=4) | scalars,
        "traits": st.dictionaries(words, values, max_size=2),
        "context": st.dictionaries(
            st.sampled_from(["sessionId", "library", "traits", "device", "campaign"]),
            values,
            max_size=2,
        ),
        "channel": scalars,
        "name": scalars,
        "groupId": scalars,
    },
)
traits = st.fixed_dictionaries(
    {},
    optional={
        "plan": st.sampled_from(["free", "pro", None]),
        "email": st.sampled_from(["a@example.com", "b@example.com", None]),
        "firstName": st.sampled_from(["Ada", "Bea"]),
        "birthday": st.sampled_from(["2000-01-01", "2001-01-01"]),
        "tags": st.lists(st.sampled_from(["vip", "new"]), max_size=2),
        "address": st.fixed_dictionaries({}, optional={"city": st.sampled_from(["Ulm", "Bonn"])}),
    },
)
usual_payloads = st.fixed_dictionaries(
    {
        "traits": traits,
        "properties": st.fixed_dictionaries({}, optional={"total": st.integers(0, 3)}),
        "groupId": st.sampled_from(["g-1", "g-2"]),
        "context": st.fixed_dictionaries(
            {},
            optional={
                "sessionId": st.sampled_from(["s-1", "s-2"]),
                "device": st.fixed_dictionaries(
                    {"token": st.sampled_from(["t-1", "t-2"]), "type": st.just("ios")}
                ),
                "campaign": st.fixed_dictionaries({"source": st.sampled_from(["mail", "ad"])}),
            },
        ),
    }
)

users = st.sampled_from([user("ann"), user("bob"), user("cy")])
devices = st.sampled_from([anonymous("x"), anonymous("y"), anonymous("z"), anonymous("null")])
mails = st.sampled_from(
    [Identifier("email", address) for address in ("a@example.com", "b@example.com")]
)
names = st.one_of(users, devices, mails)
identifier_sets = st.one_of(
    st.tuples(users, devices),
    st.tuples(devices),
    st.tuples(users),
    st.tuples(users, mails, devices),
    st.tuples(mails),
    st.just(()),
)
events = st.sampled_from(["Viewed", "Bought", "page_view", "session_started", "\0"])
about_messages = st.sampled_from(["Email Sent", "email_opened", "Email Bounced", "link_clicked"])
kinds = st.sampled_from(["track", "track", "page", "screen", "identify", "identify", "group"])
clocks = st.integers(-5, 5).map(lambda hours: NOON + timedelta(hours=hours))
"""Few enough that many events share an instant."""


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """An event, or a call that describes a profile."""
    message = tracked(
        draw(
            st.one_of(
                events,
                about_messages,
                st.sampled_from(sorted(profile_facts.PROFILE_CHANGING_EVENTS)),
            )
        ),
        identifiers=draw(identifier_sets),
        kind=draw(kinds),
        occurred_at=draw(clocks),
    )
    return with_payload(message, draw(st.one_of(usual_payloads, usual_payloads, odd_payloads)))


@st.composite
def claims(draw: st.DrawFn) -> Message:
    """An alias, a merge or an unmerge."""
    at, identifier, other = draw(clocks), draw(names), draw(names)
    kind = draw(st.sampled_from(["alias", "merge", "unmerge"]))
    if kind == "merge":
        policy = draw(st.sampled_from(["latest", "primary"]))
        return merged(identifier, other, occurred_at=at, policy=policy)
    if kind == "unmerge":
        return unmerged(identifier, *draw(st.lists(names, min_size=1, max_size=3)), occurred_at=at)
    absorbs = (
        () if other == identifier else (other, anonymous(other.value), anonymous(identifier.value))
    )
    return tracked("alias", identifier, kind="alias", absorbs=absorbs, occurred_at=at)


histories = st.lists(st.one_of(messages(), messages(), claims()), min_size=1, max_size=20)


@st.composite
def deliveries(draw: st.DrawFn, history: list[Message]) -> list[Message]:
    """The same messages as another network would deliver them: in any order, some twice."""
    repeated = draw(st.lists(st.sampled_from(history), max_size=5))
    return draw(st.permutations(history + repeated))
