"""Example counts of property tests: parts of the profile's count in conftest.py."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_SHARED = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)


def share(part: float) -> settings:
    """Take this part of the profile's examples, at least one; above 1 for quick tests."""
    return settings(max_examples=max(1, round(settings().max_examples * part)))


def on_one_database(part: float = 1) -> settings:
    """Take this part of them on the test's database; each example has its own workspace."""
    return settings(share(part), suppress_health_check=_SHARED)


def sabotaged() -> settings:
    """Search for an example that fails a check: the same in each run, without shrinking."""
    return settings(settings.get_profile("sabotage"), suppress_health_check=_SHARED)
