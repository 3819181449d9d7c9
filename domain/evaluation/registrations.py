"""Since when accumulators are stored, and under which numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from domain.conditions.accumulators import Accumulator
from domain.core.ledger_time import Cause
from domain.evaluation.accumulator_state import AccumulatorCodec


class Registration(NamedTuple):
    """Since when an accumulator is stored."""

    stored_id: int
    """Replaces the accumulator's key where values are stored."""

    since: Cause


@dataclass(frozen=True, eq=False)
class Registrations:
    """The accumulators of an index as they are stored."""

    by_key: Mapping[str, Registration]
    codec: AccumulatorCodec
    newest: int
    """Position at which the last accumulator that reads messages was registered."""

    @classmethod
    def build(
        cls, accumulators: Mapping[str, Accumulator], by_key: Mapping[str, Registration]
    ) -> Self:
        """Returns the registrations of accumulators; both are by the accumulators' keys."""
        stored_ids = {key: registration.stored_id for key, registration in by_key.items()}
        codec = AccumulatorCodec(
            accumulators, stored_ids, {id_: key for key, id_ in stored_ids.items()}
        )
        positions = (
            registration.since.position
            for key, registration in by_key.items()
            if _reads_messages(accumulators.get(key))
        )
        return cls(by_key, codec, max(positions, default=0))

    def after(self, position: int) -> Mapping[str, Registration]:
        """Returns those of accumulators that read messages, registered after a position."""
        return {
            key: self.by_key[key]
            for key, accumulator in self.codec.accumulators.items()
            if key in self.by_key
            and self.by_key[key].since.position > position
            and _reads_messages(accumulator)
        }


def _reads_messages(accumulator: Accumulator | None) -> bool:
    return accumulator is not None and accumulator.names != frozenset()
