"""How many examples a property test takes: a part of its profile's count, which stands in conftest.py alone."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_SHARED = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)


def share(part: float) -> settings:
    """Take this part of the profile's examples, at least one; more than all for what is quick."""
    return settings(max_examples=max(1, round(settings().max_examples * part)))


def on_one_database(part: float = 1) -> settings:
    """Take this part of them, all on the test's database: each example has a workspace of its own."""
    return settings(share(part), suppress_health_check=_SHARED)


def sabotaged() -> settings:
    """Look for the example with which a check goes red: the same in each run, and none is made smaller."""
    return settings(settings.get_profile("sabotage"), suppress_health_check=_SHARED)
