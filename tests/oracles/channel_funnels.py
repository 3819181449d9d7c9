"""A channel funnel, counted by hand, message by message."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise

from domain.core.time import to_micros
from domain.events.channels import CHANNEL_STEPS
from domain.identity.resolution import facts_from_event
from domain.identity.resolved_profile import find_profile
from tests.integration.projections.history import stream_of
from tests.strategies.channel_funnels import EVENTS, since, until


def by_hand(events, asked):
    facts = [fact for it in events for fact in facts_from_event(it.event)]
    whole, templates = defaultdict(lambda: defaultdict(list)), defaultdict(list)
    for it in events:
        name = getattr(it.event, "name", None)
        if name in EVENTS:
            properties = json.loads(it.event.payload)["properties"]
            message = properties.get("message_id")
            person = find_profile(it.stream, facts, stream_of).id
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
            taken = [place for place, step in enumerate(CHANNEL_STEPS) if step in times]
            sure = message is not None and len(people_of[campaign, message]) == 1
            if taken:
                for place in range(0 if sure else taken[0], taken[-1] + 1):
                    messages[place] += 1
                for one, other in pairwise(taken):
                    waits[other].append(
                        max(0, times[CHANNEL_STEPS[other]] - times[CHANNEL_STEPS[one]])
                    )
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
