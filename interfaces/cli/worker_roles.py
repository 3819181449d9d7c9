"""The parts of what a worker does."""

from __future__ import annotations

from enum import StrEnum


class WorkerRole(StrEnum):
    """A part that may have a process of its own: threads of one process share one core.

    At 500 triggers a second on two cores, a webhook came 1.1 s (p99) after its event from one worker, and
    0.6 s from two with a part each.
    """

    READ_MODELS = "read-models"
    SENDING = "sending"
