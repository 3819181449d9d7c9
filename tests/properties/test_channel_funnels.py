"""A channel funnel counts what is counted by hand, message by message, in any order, merged or not."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import timedelta
from itertools import count, pairwise
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.core.time import to_micros
from domain.events.channels import STEPS
from domain.identity.resolution import facts_of
from domain.identity.resolved_profile import find
from projections.channel_funnels import sql
from tests.builders import NOON, anonymous, merged, tracked, unmerged, user
from tests.integration.projections.given import Given
from tests.integration.projections.history import recorded, stream_of
from tests.properties.histories import deliveries
from tests.properties.test_convergence import each_on_its_workspaces, unsynced

EVENTS = {
    "message_sent": "sent",
    "message_delivered": "delivered",
    "message_read": "read",
    "link_clicked": "clicked",
    "message_unsubscribed": "unsubscribed",
}

who = st.sampled_from([user("ann"), user("bob"), anonymous("x"), anonymous("y")])
told = st.builds(
    lambda name, whom, at, campaign, message, template: tracked(
        name,
        *whom,
        occurred_at=NOON + timedelta(seconds=at),
        properties={"channel": "email", "campaign_id": campaign} | message | template,
    ),
    st.sampled_from([*EVENTS]),
    st.one_of(st.tuples(who), st.tuples(st.just(user("ann")), st.just(anonymous("x")))),
    st.integers(0, 6),
    st.sampled_from(["c-1", "c-2"]),
    st.sampled_from([{}, {"message_id": "1"}, {"message_id": "2"}]),
    st.sampled_from([{}, {}, {"template_id": "t-1"}, {"template_id": "t-2"}]),
)
since, until = (NOON + timedelta(seconds=it) for it in (2, 5))
questions = st.builds(
    lambda template, first, last: template | first | last,
    st.sampled_from([{}, {}, {"template": "t-1"}]),
    st.sampled_from([{}, {}, {"from": since.isoformat()}]),
    st.sampled_from([{}, {}, {"to": until.isoformat()}]),
)
said = st.one_of(told, told, told, st.builds(merged, who, who), st.builds(unmerged, who, who))
histories = st.lists(said, min_size=1, max_size=16)


@pytest.fixture
def models(database):
    engine = unsynced(database)
    made = Given(engine)
    made.workspaces = count(1)
    yield made
    engine.dispose()


def counts_by_hand(models, data, history) -> None:
    kept = {it.message_id: it for it in reversed(data.draw(deliveries(history)))}
    workspace = next(models.workspaces)
    events = recorded(kept.values())
    models.feed.workspaces[workspace] = events
    models.projector.catch_up(workspace, data.draw(st.integers(1, 7)))
    asked = data.draw(questions, "asked")
    told_apart = {"workspace": workspace, "by": ["campaign"], **asked}
    found = models.ask("/channel-funnels", **told_apart)["channel_funnels"]
    answered = {
        it["campaign"]: (
            [step["messages"] for step in it["steps"]],
            [step["profiles"] for step in it["steps"]],
            {each["outcome"]: (each["messages"], each["profiles"]) for each in it["outcomes"]},
            [step["seconds_p50"] for step in it["steps"]],
        )
        for it in found
    }
    assert answered == by_hand(events, asked)
    for campaign, (_, profiles, _, _) in answered.items():
        for step, number in zip(STEPS, profiles, strict=True):
            bar = {"workspace": workspace, "campaign": campaign, "step": step, **asked}
            page = models.ask("/channel-funnels/profiles", **bar)
            assert len(page["profiles"]) == number


def by_hand(events, asked):
    facts = [fact for it in events for fact in facts_of(it.event)]
    whole, templates = defaultdict(lambda: defaultdict(list)), defaultdict(list)
    for it in events:
        name = getattr(it.event, "name", None)
        if name in EVENTS:
            properties = json.loads(it.event.payload)["properties"]
            message = properties.get("message_id")
            person = find(it.stream, facts, stream_of).id
            own = (person, message) if message else (person, it.stream)
            key = properties["campaign_id"], message, *own
            whole[key][EVENTS[name]].append(to_micros(it.event.occurred_at))
            templates[key] += [properties["template_id"]] if "template_id" in properties else []
    people_of = defaultdict(set)
    for campaign, message, person, _ in whole:
        people_of[campaign, message].add(person)
    whole = {key: it for key, it in whole.items() if meets(asked, it, templates[key])}
    found = {}
    for campaign in {key[0] for key in whole}:
        mine = {
            key: {step: min(at) for step, at in it.items()}
            for key, it in whole.items()
            if key[0] == campaign
        }
        messages, people = [0] * 4, defaultdict(int)
        outcomes, waits = [], defaultdict(list)
        for (_, message, person, _), times in mine.items():
            taken = [place for place, step in enumerate(STEPS) if step in times]
            sure = message is not None and len(people_of[campaign, message]) == 1
            if taken:
                for place in range(0 if sure else taken[0], taken[-1] + 1):
                    messages[place] += 1
                for one, other in pairwise(taken):
                    waits[other].append(max(0, times[STEPS[other]] - times[STEPS[one]]))
            people[person] = max(people[person], taken[-1] + 1 if taken else 0)
            if "unsubscribed" in times:
                outcomes.append(person)
        found[campaign] = (
            messages,
            [sum(it > place for it in people.values()) for place in range(4)],
            {"unsubscribed": (len(outcomes), len(set(outcomes)))} if outcomes else {},
            [median(waits[place]) for place in range(4)],
        )
    return found


def meets(asked, times, templates) -> bool:
    first = min(min(at) for at in times.values())
    return (
        ("template" not in asked or (bool(templates) and min(templates) == asked["template"]))
        and ("from" not in asked or first >= to_micros(since))
        and ("to" not in asked or first < to_micros(until))
    )


def median(values):
    ordered = sorted(values)
    half = len(ordered) // 2
    if not ordered:
        return None
    middle = ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
    return middle / 1_000_000


few_merged = st.sampled_from([0, sql.FEW])
"""Those who were merged are looked up in another way when they are many."""


@settings(each_on_its_workspaces, max_examples=200)
@given(data=st.data(), history=histories, few=few_merged)
def test_any_delivery_of_the_same_messages_gives_the_same_channel_funnel(
    models, data, history, few
):
    with patch.object(sql, "FEW", few):
        counts_by_hand(models, data, history)
