"""What is to be forgotten once a person has been erased."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID


class ErasureScope(NamedTuple):
    """What of a workspace's ledger has been blanked."""

    workspace: int

    streams: tuple[UUID, ...]
    """The person's streams: nothing of them is left, and no fact of any stream names them."""

    partially_blanked: tuple[UUID, ...] = ()
    """Streams of others that lost a merge or unmerge which named the person; the rest stays."""

    @property
    def cleared_streams(self) -> tuple[UUID, ...]:
        """The streams of which a read model kept by stream drops everything.

        What is left of those that were mended it is then given anew.
        """
        return self.streams + self.partially_blanked
