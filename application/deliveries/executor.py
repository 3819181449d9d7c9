"""Does one delivery: fills its templates, and sends or records what comes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from types import TracebackType
from typing import Self

import structlog

from application.deliveries.commands import Commands
from application.deliveries.encryption import Sealer
from application.deliveries.endpoint_queues import Lane
from application.deliveries.endpoints import place
from application.deliveries.outcome import Verdict, of_fault, of_receipt, of_reply, of_trouble
from application.deliveries.rendering import Letter, Said, filled
from application.deliveries.templates import (
    TemplateFailed,
    Templates,
    TemplateTooSlow,
    is_template,
)
from application.ledger.tables.leases import Leased
from domain.core.errors import FoldlineError

log = structlog.get_logger(__name__)


class Doing:
    """Does deliveries, for one event loop.  Never fails: what goes wrong is the verdict."""

    def __init__(self, commands: Commands, sealer: Sealer, now: Callable[[], datetime]) -> None:
        self._commands, self._sealer, self._now = commands, sealer, now
        self._templates = Templates()
        self._filling = ThreadPoolExecutor(1, thread_name_prefix="delivery-templates")
        self._recording = ThreadPoolExecutor(2, thread_name_prefix="delivery-commands")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._filling.shutdown(cancel_futures=True)
        self._recording.shutdown(cancel_futures=True)
        self._templates.close()

    async def do(self, lane: Lane, it: Leased) -> Verdict:
        """Do one delivery."""
        try:
            wanted = await self._filled(it)
            if isinstance(wanted, Letter):
                return await self._send(lane, it, wanted)
            return await self._record(it, wanted)
        except TemplateTooSlow as error:
            return of_trouble(it, str(error), self._now())
        except TemplateFailed as error:
            return of_fault(it, str(error), self._now())
        except FoldlineError as error:  # the ledger does not answer, or a secret cannot be opened
            return of_trouble(it, str(error), self._now())
        except Exception as error:
            log.exception("a delivery failed for a reason that was not foreseen", id=str(it.id))
            return of_trouble(it, type(error).__name__, self._now())

    async def _filled(self, it: Leased) -> Letter | Said:
        if not is_template(it.action):
            return filled(it, self._templates)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._filling, filled, it, self._templates)

    async def _send(self, lane: Lane, it: Leased, letter: Letter) -> Verdict:
        if lane.endpoint is None or lane.receiver is None:
            why = f"there is no endpoint {it.lane!r}; make one, and replay this"
            return of_fault(it, why, self._now())
        sealed, where = lane.endpoint.secrets(self._now()), place((it.workspace, it.lane))
        secrets = [self._sealer.open(each, where) for each in sealed]
        reply = await lane.receiver.send(str(it.id), letter.body, letter.headers, secrets)
        return of_reply(it, reply, self._now())

    async def _record(self, it: Leased, said: Said) -> Verdict:
        loop = asyncio.get_running_loop()
        recorded = await loop.run_in_executor(self._recording, self._commands.record, it, said)
        return of_receipt(it, await asyncio.wrap_future(recorded), self._now())
