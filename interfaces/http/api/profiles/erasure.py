"""Erasure and suppression routes, for admin keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from fastapi import APIRouter

from application.ledger.tables.keys import ApiKey
from application.profiles.erasing import ErasureResult, ProfileReference
from application.profiles.erasure_attempt import ErasureContext
from interfaces.http.api.profiles.schemas import (
    EraseRequest,
    ErasurePath,
    ProfileErasureResult,
    SuppressedProfile,
    SuppressedProfileList,
    SuppressionListParams,
    SuppressRequest,
    UnsuppressRequest,
)
from interfaces.http.kit.operation import Operation, operation_routes
from interfaces.http.kit.params import NoParams
from interfaces.service import Service
from projections.kit import references
from projections.kit.pages import split_page

Command = Callable[[int, ProfileReference, ErasureContext], ErasureResult]


def erasure_routes(service: Service) -> APIRouter:
    """Build the routes that erase, suppress and unsuppress profiles."""
    list_suppressions = Operation(
        "GET",
        "/v1/suppressions",
        "list_suppressions",
        "List suppressed profiles (ids only)",
        params=SuppressionListParams,
        answer=SuppressedProfileList,
        run=lambda key, params, _: _list_suppressions(service, key.workspace, params),
    )
    return operation_routes(
        service.keys, "erasure", (*_command_operations(service), list_suppressions)
    )


def _command_operations(service: Service) -> tuple[Operation, Operation, Operation]:
    errors = (400, 401, 403, 404, 413, 503)

    def erase(key: ApiKey, path: ErasurePath, payload: EraseRequest) -> ProfileErasureResult:
        command = partial(service.erasure.erase, suppress=payload.suppress)
        return _run_command(command, key, path.ref, payload.reason)

    def suppress(key: ApiKey, _: NoParams, payload: SuppressRequest) -> ProfileErasureResult:
        suppress_and_erase = partial(service.erasure.erase, suppress=True)
        command = suppress_and_erase if payload.erase else service.erasure.suppress
        return _run_command(command, key, payload.profile, payload.reason)

    def unsuppress(key: ApiKey, _: NoParams, payload: UnsuppressRequest) -> ProfileErasureResult:
        command = service.erasure.lift_suppression
        return _run_command(command, key, payload.profile, payload.reason)

    return (
        Operation(
            "DELETE",
            "/v1/profiles/{ref}",
            "erase_profile",
            "Erase a profile from the ledger and all read models, irreversibly",
            params=ErasurePath,
            body=EraseRequest,
            answer=ProfileErasureResult,
            errors=errors,
            run=erase,
        ),
        Operation(
            "POST",
            "/v1/profiles/suppress",
            "suppress_profile",
            "Suppress a profile: ignore future messages, and erase recorded data unless `erase`"
            " is false",
            body=SuppressRequest,
            answer=ProfileErasureResult,
            errors=errors,
            run=suppress,
        ),
        Operation(
            "POST",
            "/v1/profiles/unsuppress",
            "unsuppress_profile",
            "Lift a suppression; erased data is not restored",
            body=UnsuppressRequest,
            answer=ProfileErasureResult,
            errors=errors,
            run=unsuppress,
        ),
    )


def _run_command(
    command: Command, key: ApiKey, reference: str, reason: str
) -> ProfileErasureResult:
    result = command(
        key.workspace,
        references.parse_reference(reference),
        ErasureContext(datetime.now(UTC), key.id, reason),
    )
    return ProfileErasureResult.model_validate(result._asdict())


def _list_suppressions(
    service: Service, workspace: int, params: SuppressionListParams
) -> SuppressedProfileList:
    head = service.ledger.heads().get(workspace, 0)
    after = params.cursor or UUID(int=0)
    count, rows = service.ledger.list_suppressions(workspace, after, params.limit + 1)
    page, next_page = split_page(rows, params.limit, lambda row: str(row.profile_id))
    return SuppressedProfileList(
        suppressions=[
            SuppressedProfile(
                profile_id=row.profile_id, suppressed_at=row.suppressed_at, streams=row.streams
            )
            for row in page
        ],
        count=count,
        next=next_page,
        projected_to=head,
    )
