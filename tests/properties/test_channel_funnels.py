"""A channel funnel counts what is counted by hand, message by message, in any order, merged or not."""

from __future__ import annotations

from itertools import count
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events.channels import CHANNEL_STEPS
from projections.channel_funnels import sql
from tests import examples
from tests.integration.projections.given import Given
from tests.integration.projections.history import recorded
from tests.oracles.channel_funnels import by_hand
from tests.properties.models import unsynced
from tests.strategies.channel_funnels import few_merged, histories, questions
from tests.strategies.histories import deliveries


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
        for step, number in zip(CHANNEL_STEPS, profiles, strict=True):
            bar = {"workspace": workspace, "campaign": campaign, "step": step, **asked}
            page = models.ask("/channel-funnels/profiles", **bar)
            assert len(page["profiles"]) == number


@examples.on_one_database(0.4)
@given(data=st.data(), history=histories, few=few_merged)
def test_any_delivery_of_the_same_messages_gives_the_same_channel_funnel(
    models, data, history, few
):
    with patch.object(sql, "FEW", few):
        counts_by_hand(models, data, history)
