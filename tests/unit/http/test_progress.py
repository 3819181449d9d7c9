"""A read model is idle, moving or stalled; being behind alone is not stalled."""

from __future__ import annotations

from typing import Any

import pytest

from interfaces.http.projection_health import STALLED_SECONDS, ProjectionMonitor

MODEL = (1, "timeline", 1)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> ProjectionMonitor:
    service: Any = None  # classify_movement does not use it
    return ProjectionMonitor(service, clock)


def test_a_read_model_that_has_caught_up_is_idle(watch):
    assert watch.classify_movement(MODEL, 10, 0) == "idle"


def test_a_read_model_with_progress_is_moving_however_long_it_takes(watch, clock):
    for position in range(100):
        clock.now += STALLED_SECONDS
        assert watch.classify_movement(MODEL, position, 1_000_000) == "moving"


def test_a_read_model_behind_the_head_without_progress_is_stalled(watch, clock):
    assert watch.classify_movement(MODEL, 10, 1) == "moving"
    clock.now += STALLED_SECONDS - 1
    assert watch.classify_movement(MODEL, 10, 5) == "moving"
    clock.now += 1
    assert watch.classify_movement(MODEL, 10, 9) == "stalled"
    assert watch.classify_movement(MODEL, 11, 8) == "moving"


def test_the_first_event_after_a_quiet_day_does_not_make_it_stalled(watch, clock):
    assert watch.classify_movement(MODEL, 10, 0) == "idle"
    clock.now += 86_400
    assert watch.classify_movement(MODEL, 10, 1) == "moving"


def test_a_read_model_that_caught_up_between_checks_starts_again(watch, clock):
    assert watch.classify_movement(MODEL, 10, 1) == "moving"
    assert watch.classify_movement(MODEL, 11, 0) == "idle"
    clock.now += 86_400
    assert watch.classify_movement(MODEL, 11, 1) == "moving"


def test_each_read_model_of_each_workspace_is_monitored_alone(watch, clock):
    watch.classify_movement(MODEL, 10, 1)
    clock.now += STALLED_SECONDS
    assert watch.classify_movement((2, "timeline", 1), 10, 1) == "moving"
    assert watch.classify_movement(MODEL, 10, 1) == "stalled"
