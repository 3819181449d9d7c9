"""A channel funnel equals a count message by message, in any order, merged or not."""

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
from tests.oracles.channel_funnels import expected_funnels
from tests.properties.models import unsynced
from tests.strategies.channel_funnels import histories, merged_read_limits, questions
from tests.strategies.histories import deliveries


@pytest.fixture
def models(database):
    engine = unsynced(database)
    given_models = Given(engine)
    given_models.workspaces = count(1)
    yield given_models
    engine.dispose()


def assert_counts_equal(models, data, history) -> None:
    first_copies = {
        message.message_id: message for message in reversed(data.draw(deliveries(history)))
    }
    workspace = next(models.workspaces)
    events = recorded(first_copies.values())
    models.feed.workspaces[workspace] = events
    models.projector.catch_up(workspace, data.draw(st.integers(1, 7)))
    params = data.draw(questions, "params")
    by_campaign = {"workspace": workspace, "by": ["campaign"], **params}
    funnels = models.ask("/channel-funnels", **by_campaign)["channel_funnels"]
    counts = {
        funnel["campaign"]: (
            [step["messages"] for step in funnel["steps"]],
            [step["profiles"] for step in funnel["steps"]],
            {row["outcome"]: (row["messages"], row["profiles"]) for row in funnel["outcomes"]},
            [step["seconds_p50"] for step in funnel["steps"]],
        )
        for funnel in funnels
    }
    assert counts == expected_funnels(events, params)
    for campaign, (_, profiles, _, _) in counts.items():
        for step, number in zip(CHANNEL_STEPS, profiles, strict=True):
            step_params = {"workspace": workspace, "campaign": campaign, "step": step, **params}
            page = models.ask("/channel-funnels/profiles", **step_params)
            assert len(page["profiles"]) == number


@examples.on_one_database(0.4)
@given(data=st.data(), history=histories, max_merged=merged_read_limits)
def test_any_delivery_of_the_same_messages_gives_the_same_channel_funnel(
    models, data, history, max_merged
):
    with patch.object(sql, "MAX_MERGED_READ", max_merged):
        assert_counts_equal(models, data, history)
