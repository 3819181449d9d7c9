"""Scope of an erasure: what read models must remove."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID


class ErasureScope(NamedTuple):
    """The streams of a workspace that an erasure blanked."""

    workspace: int

    streams: tuple[UUID, ...]
    """The profile's streams: fully blanked, and no identity event of any stream names them."""

    partially_blanked: tuple[UUID, ...] = ()
    """Other profiles' streams that lost a merge or unmerge naming the profile; the rest stays."""

    @property
    def cleared_streams(self) -> tuple[UUID, ...]:
        """The streams whose rows a read model removes.

        It then receives the remaining events of those that were partially blanked again.
        """
        return self.streams + self.partially_blanked
