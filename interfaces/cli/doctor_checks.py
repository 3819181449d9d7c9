"""Checks of `foldline doctor`, each with its result and advice."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from typing import Literal, NamedTuple

from application.ledger.inspection import (
    ALLOWED_PRIVILEGES,
    GUARD_TRIGGERS,
    Inspection,
    inspect_database,
)
from application.ledger.server_requirements import UnmetRequirement
from application.ledger.session import OneConnection
from application.ledger.tables.workspaces import Workspaces
from domain.core.errors import FoldlineError
from interfaces.database import open_database
from interfaces.dsn import public_address
from interfaces.query_connections import create_query_engine
from interfaces.settings import Settings
from projections import PROJECTIONS
from projections.runtime.status import read_status

_GIB = 1 << 30

LOW_DISK_BYTES, MIN_DISK_BYTES = 5 * _GIB, 1 * _GIB
"""Free bytes on the home folder's disk below which a check warns, and below which it fails."""

MAX_CLOCK_SKEW = timedelta(seconds=2)
"""Clock difference above which the times in one event visibly contradict each other."""


class Check(NamedTuple):
    """Result of one check."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""


def run_checks(settings: Settings) -> list[Check]:
    """Run all checks; those that depend on a failed one are left out."""
    checks = [_check_python(), _check_settings(settings)]
    if settings.dsn is None:  # the disk of an external server is not visible
        checks.append(_check_disk(settings))
    with ExitStack() as stack:
        try:
            settings = stack.enter_context(open_database(settings))
            assert settings.dsn is not None
            inspection = inspect_database(settings.dsn)
        except FoldlineError as error:
            return [*checks, Check("database", "fail", str(error), _CONNECT_ADVICE)]
        checks += _check_database(inspection)
        healthy = all(check.status != "fail" for check in checks)
        if healthy and not inspection.pending_revisions:
            checks += _check_projections(settings.dsn)
    return checks


_CONNECT_ADVICE = (
    "embedded: see its log under --home; external: check that the server is up and --dsn is correct"
)


def _check_python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} at {sys.prefix}")


def _check_settings(settings: Settings) -> Check:
    database = (
        "embedded" if settings.dsn is None else f"the server at {public_address(settings.dsn)}"
    )
    return Check(
        "settings",
        "ok",
        f"database {database}, home {settings.home}, {settings.host}:{settings.port}",
    )


def _check_disk(settings: Settings) -> Check:
    try:
        folder = next(path for path in (settings.home, *settings.home.parents) if path.exists())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        advice = "set FOLDLINE_HOME to a folder of your own"
        return Check("disk", "fail", f"{settings.home}: {error.strerror}", advice)
    status: Literal["ok", "warn", "fail"] = (
        "fail" if free < MIN_DISK_BYTES else "warn" if free < LOW_DISK_BYTES else "ok"
    )
    advice = (
        ""
        if status == "ok"
        else "free disk space, or set FOLDLINE_HOME to a folder on a larger disk"
    )
    return Check("disk", status, f"{free / _GIB:.1f} GiB free under {settings.home}", advice)


def _check_database(inspection: Inspection) -> Iterator[Check]:
    if inspection.server_supported:
        yield Check("server", "ok", f"PostgreSQL {inspection.server}")
    else:
        yield Check(
            "server", "fail", f"PostgreSQL {inspection.server}", "upgrade it to 15 or newer"
        )
    yield from _check_durability(inspection)
    if inspection.pending_revisions:
        yield Check(
            "migrations",
            "warn",
            f"pending: {', '.join(inspection.pending_revisions)}",
            "run `foldline migrate`, or start `foldline serve`, which also applies them",
        )
    else:
        yield Check("migrations", "ok", "none pending")
    if inspection.triggers is not None:
        yield from _check_grants(inspection)
        yield from _check_triggers(inspection.triggers)
    yield _check_clock(inspection)


def _check_durability(inspection: Inspection) -> Iterator[Check]:
    for requirement in inspection.unmet_required:
        yield _setting_check(requirement, "fail")
    if not inspection.unmet_required:
        yield Check("durability", "ok", "acknowledged events survive a crash of the machine")
    for requirement in inspection.unmet_advised:
        yield _setting_check(requirement, "warn")


def _setting_check(requirement: UnmetRequirement, status: Literal["warn", "fail"]) -> Check:
    return Check(
        "server setting",
        status,
        f"{requirement.name} is {requirement.value}: {requirement.reason}",
        "change it in postgresql.conf (also check ALTER SYSTEM, DATABASE and ROLE) and restart the server",
    )


def _check_grants(inspection: Inspection) -> Iterator[Check]:
    role = inspection.role
    if role is None:
        yield Check(
            "role",
            "warn",
            "role foldline_service is missing; only triggers protect events from changes",
            "run `foldline migrate` as a role that may create roles",
        )
        return
    if not role.usable:
        yield Check(
            "role",
            "warn",
            "the connecting user cannot SET ROLE foldline_service and uses its own rights",
            "GRANT foldline_service TO the user in FOLDLINE_DSN",
        )
    excess = sorted(role.privileges - ALLOWED_PRIVILEGES)
    missing = sorted(ALLOWED_PRIVILEGES - role.privileges)
    if role.superuser or excess:
        problem = "is a superuser" if role.superuser else f"may {', '.join(excess)} events"
        advice = f"REVOKE {', '.join(excess)} ON ledger.event FROM foldline_service, PUBLIC"
        if role.superuser:
            advice = "ALTER ROLE foldline_service NOSUPERUSER"
        yield Check("grants", "fail", f"foldline_service {problem}", advice)
    elif missing:
        yield Check(
            "grants",
            "fail",
            f"foldline_service may not {', '.join(missing)} events",
            f"GRANT {', '.join(missing)} ON ledger.event TO foldline_service",
        )
    else:
        yield Check("grants", "ok", "foldline_service may INSERT and SELECT events, nothing else")


def _check_triggers(triggers: dict[str, str]) -> Iterator[Check]:
    disabled = [name for name in GUARD_TRIGGERS if triggers.get(name) != "A"]
    if disabled:
        yield Check(
            "triggers",
            "fail",
            f"disabled: {', '.join(disabled)}; events could be changed or removed",
            "; ".join(
                f"ALTER TABLE ledger.event ENABLE ALWAYS TRIGGER {name}" for name in disabled
            ),
        )
    else:
        yield Check("triggers", "ok", "updates, deletes and truncation of events are rejected")


def _check_clock(inspection: Inspection) -> Check:
    ahead = inspection.clock_offset.total_seconds()
    offset = f"the database clock is {abs(ahead):.3f} s {'ahead' if ahead >= 0 else 'behind'}"
    if abs(inspection.clock_offset) - inspection.clock_uncertainty > MAX_CLOCK_SKEW:
        return Check("clocks", "warn", offset, "synchronise both clocks with NTP")
    return Check("clocks", "ok", offset)


def _check_projections(dsn: str) -> Iterator[Check]:
    with closing(OneConnection(dsn)) as connection:
        workspaces = Workspaces(connection)
        names = {workspace.id: workspace.name for workspace in workspaces.list()}
        heads = workspaces.heads()
    engine = create_query_engine(dsn)
    statuses = read_status(engine, heads, PROJECTIONS)
    engine.dispose()
    for status in statuses:
        name = f"{status.name} of workspace {names.get(status.workspace, status.workspace)}"
        if status.failure:
            yield Check(
                "projection",
                "fail",
                f"{name} failed at position {status.position:,}, {status.lag:,} events behind: {status.failure}",
                "the worker retries; report this if it persists",
            )
        elif status.lag:
            yield Check(
                "projection",
                "warn",
                f"{name} is at position {status.position:,}, {status.lag:,} events behind",
                "it catches up while `foldline serve` or `foldline worker` runs",
            )
        else:
            yield Check("projection", "ok", f"{name} is at the head, position {status.position:,}")
