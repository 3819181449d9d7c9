"""Executes one delivery: renders its action, then sends the webhook or records the command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import ClassVar, Self

import structlog

from application.deliveries.commands import CommandRecorder
from application.deliveries.encryption import SecretCipher
from application.deliveries.endpoint_queues import EndpointQueue
from application.deliveries.endpoints import encryption_context
from application.deliveries.outcome import (
    AttemptOutcome,
    from_receipt,
    from_response,
    permanent_failure,
    retryable_failure,
)
from application.deliveries.rendering import render_action, webhook_body
from application.deliveries.templates import (
    TemplateFailed,
    TemplateRenderer,
    TemplateTooSlow,
    has_placeholders,
)
from application.ledger.tables.leases import LeasedDelivery
from domain.core.errors import FoldlineError
from domain.rules.actions.action import LedgerCommand, RenderedAction, WebhookRequest

log = structlog.get_logger(__name__)


class DeliveryExecutor:
    """Executes deliveries for one event loop.  Never raises: every failure becomes an outcome."""

    def __init__(
        self, commands: CommandRecorder, cipher: SecretCipher, now: Callable[[], datetime]
    ) -> None:
        self._commands, self._cipher, self._now = commands, cipher, now
        self._templates = TemplateRenderer()
        self._render_thread = ThreadPoolExecutor(1, thread_name_prefix="delivery-templates")
        self._command_threads = ThreadPoolExecutor(2, thread_name_prefix="delivery-commands")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._render_thread.shutdown(cancel_futures=True)
        self._command_threads.shutdown(cancel_futures=True)
        self._templates.close()

    async def execute(self, queue: EndpointQueue, delivery: LeasedDelivery) -> AttemptOutcome:
        """Executes one delivery and returns its outcome."""
        try:
            rendered = await self._render(delivery)
            return await self.EXECUTORS[type(rendered)](self, queue, delivery, rendered)
        except TemplateTooSlow as error:
            return retryable_failure(delivery, str(error), self._now())
        except TemplateFailed as error:
            return permanent_failure(delivery, str(error), self._now())
        except (
            FoldlineError
        ) as error:  # the ledger does not answer, or a secret cannot be decrypted
            return retryable_failure(delivery, str(error), self._now())
        except Exception as error:  # one delivery must not end the worker: it is retried
            log.exception("delivery_failed_unexpectedly", id=str(delivery.id))
            return retryable_failure(delivery, type(error).__name__, self._now())

    async def _render(self, delivery: LeasedDelivery) -> RenderedAction:
        if not has_placeholders(delivery.action):
            return render_action(delivery, self._templates)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._render_thread, render_action, delivery, self._templates
        )

    async def _send(
        self, queue: EndpointQueue, delivery: LeasedDelivery, request: WebhookRequest
    ) -> AttemptOutcome:
        if queue.endpoint is None or queue.client is None:
            error = f"endpoint {delivery.queue!r} does not exist; create it, then redeliver"
            return permanent_failure(delivery, error, self._now())
        body = webhook_body(delivery, request)
        ciphertexts = queue.endpoint.secrets(self._now())
        context = encryption_context(delivery.queue_key)
        secrets = [self._cipher.decrypt(ciphertext, context) for ciphertext in ciphertexts]
        response = await queue.client.send(str(delivery.id), body, request.headers, secrets)
        return from_response(delivery, response, self._now())

    async def _record(
        self, _queue: EndpointQueue, delivery: LeasedDelivery, command: LedgerCommand
    ) -> AttemptOutcome:
        loop = asyncio.get_running_loop()
        receipt = await loop.run_in_executor(
            self._command_threads, self._commands.record, delivery, command
        )
        return from_receipt(delivery, await asyncio.wrap_future(receipt), self._now())

    EXECUTORS: ClassVar[Mapping[type[RenderedAction], Callable[..., Awaitable[AttemptOutcome]]]] = {
        WebhookRequest: _send,
        LedgerCommand: _record,
    }
    """How each kind of rendered action is executed."""
