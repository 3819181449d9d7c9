"""Oracle of channel funnels: counts them directly, message by message."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise

from domain.core.time import to_micros
from domain.events.channels import CHANNEL_STEPS
from domain.identity.facts import facts_from_event
from domain.identity.resolved_profile import find_profile
from tests.integration.projections.history import stream_of
from tests.strategies.channel_funnels import EVENTS, since, until


def expected_funnels(records, params):
    facts = [fact for record in records for fact in facts_from_event(record.event)]
    times_by_key, templates = defaultdict(lambda: defaultdict(list)), defaultdict(list)
    for record in records:
        name = getattr(record.event, "name", None)
        if name in EVENTS:
            properties = json.loads(record.event.payload)["properties"]
            message = properties.get("message_id")
            profile_id = find_profile(record.stream, facts, stream_of).id
            unit = (profile_id, message) if message else (profile_id, record.stream)
            key = properties["campaign_id"], message, *unit
            times_by_key[key][EVENTS[name]].append(to_micros(record.event.occurred_at))
            templates[key] += [properties["template_id"]] if "template_id" in properties else []
    profiles_of = defaultdict(set)
    for campaign, message, profile_id, _ in times_by_key:
        profiles_of[campaign, message].add(profile_id)
    times_by_key = {
        key: times for key, times in times_by_key.items() if matches(params, times, templates[key])
    }
    funnels = {}
    for campaign in {key[0] for key in times_by_key}:
        first_times = {
            key: {step: min(instants) for step, instants in times.items()}
            for key, times in times_by_key.items()
            if key[0] == campaign
        }
        messages, depth_of_profile = [0] * 4, defaultdict(int)
        outcomes, waits = [], defaultdict(list)
        for (_, message, profile_id, _), times in first_times.items():
            steps = [number for number, step in enumerate(CHANNEL_STEPS) if step in times]
            is_one_message = message is not None and len(profiles_of[campaign, message]) == 1
            if steps:
                for number in range(0 if is_one_message else steps[0], steps[-1] + 1):
                    messages[number] += 1
                for previous, following in pairwise(steps):
                    wait = times[CHANNEL_STEPS[following]] - times[CHANNEL_STEPS[previous]]
                    waits[following].append(max(0, wait))
            depth = steps[-1] + 1 if steps else 0
            depth_of_profile[profile_id] = max(depth_of_profile[profile_id], depth)
            if "unsubscribed" in times:
                outcomes.append(profile_id)
        funnels[campaign] = (
            messages,
            [sum(depth > number for depth in depth_of_profile.values()) for number in range(4)],
            {"unsubscribed": (len(outcomes), len(set(outcomes)))} if outcomes else {},
            [median(waits[number]) for number in range(4)],
        )
    return funnels


def matches(params, times, templates) -> bool:
    first = min(min(instants) for instants in times.values())
    return (
        ("template" not in params or (bool(templates) and min(templates) == params["template"]))
        and ("from" not in params or first >= to_micros(since))
        and ("to" not in params or first < to_micros(until))
    )


def median(values):
    ordered = sorted(values)
    half = len(ordered) // 2
    if not ordered:
        return None
    middle = ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
    return middle / 1_000_000
