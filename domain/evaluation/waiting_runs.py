"""Waiting runs of rules, by the stream that each follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from domain.evaluation.loaded_profiles import LoadedProfiles
from domain.evaluation.rule_runs import RuleRun, sorted_by_start


class WaitingRuns:
    """The runs that wait for a delay or an event."""

    def __init__(self, profiles: LoadedProfiles, runs: Iterable[RuleRun]) -> None:
        self._profiles = profiles
        self.by_stream: dict[UUID, dict[tuple[str, int, str], RuleRun]] = {}
        for run in runs:
            self.add(run)

    def add(self, run: RuleRun) -> None:
        """Adds a run, or replaces it."""
        self.by_stream.setdefault(run.stream, {})[run.key] = run

    def remove(self, run: RuleRun) -> None:
        """Removes a run, if it is one of these."""
        runs = self.by_stream.get(run.stream, {})
        runs.pop(run.key, None)
        if not runs:
            self.by_stream.pop(run.stream, None)

    def of_profile(self, profile_id: UUID) -> Sequence[RuleRun]:
        """Returns the waiting runs of a profile, in the order in which they started."""
        streams = self._profiles.streams_of(profile_id)
        if self.by_stream.keys().isdisjoint(streams):  # the usual case
            return ()
        runs_of_streams = (self.by_stream.get(stream, {}).values() for stream in streams)
        return sorted_by_start([run for runs in runs_of_streams for run in runs])

    def count(self, profile_id: UUID, rule: str) -> int:
        """Returns how many runs of a rule wait for a profile, of any version."""
        return sum(run.rule == rule for run in self.of_profile(profile_id))
