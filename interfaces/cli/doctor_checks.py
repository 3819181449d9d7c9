"""What `foldline doctor` looks at, and what each finding means."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from application.ledger.inspection import (
    ALLOWED_PRIVILEGES,
    GUARD_TRIGGERS,
    Inspection,
    inspect_database,
)
from application.ledger.server_requirements import UnmetRequirement
from domain.core.errors import FoldlineError
from interfaces.bootstrap import open_database, open_service
from interfaces.settings import Settings

_GIB = 1 << 30

LOW_DISK_BYTES, MIN_DISK_BYTES = 5 * _GIB, 1 * _GIB
"""Free bytes of the home's disk that are worth a warning, and that are too few."""

MAX_CLOCK_SKEW = timedelta(seconds=2)
"""How far the clocks may be apart before times in one event contradict each other visibly."""


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""


def run_checks(settings: Settings) -> list[Check]:
    """Look at everything, as far as one can get."""
    checks = [_check_python(), _check_settings(settings)]
    if settings.dsn is None:  # the disk of another server cannot be seen from here
        checks.append(_check_disk(settings))
    with ExitStack() as stack:
        try:
            settings = stack.enter_context(open_database(settings))
            assert settings.dsn is not None
            found = inspect_database(settings.dsn)
        except FoldlineError as error:
            return [*checks, Check("database", "fail", str(error), _CONNECT_ADVICE)]
        checks += _check_database(found)
        if all(it.status != "fail" for it in checks) and not found.pending_revisions:
            checks += _check_projections(settings)
    return checks


_CONNECT_ADVICE = (
    "the embedded one: see its log under --home; your own: is it up, and is --dsn right?"
)


def _check_python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} at {sys.prefix}")


def _check_settings(settings: Settings) -> Check:
    where = (
        "embedded"
        if settings.dsn is None
        else f"the server at {_address_without_password(settings.dsn)}"
    )
    return Check(
        "settings", "ok", f"database {where}, home {settings.home}, {settings.host}:{settings.port}"
    )


def _address_without_password(dsn: str) -> str:
    """Return an address without the password in it."""
    parts = urlsplit(dsn)
    return f"{parts.netloc.rpartition('@')[2] or 'a local socket'}{parts.path}"


def _check_disk(settings: Settings) -> Check:
    place = next(it for it in (settings.home, *settings.home.parents) if it.exists())
    free = shutil.disk_usage(Path(place)).free
    status: Literal["ok", "warn", "fail"] = (
        "fail" if free < MIN_DISK_BYTES else "warn" if free < LOW_DISK_BYTES else "ok"
    )
    advice = (
        "" if status == "ok" else "make room, or set FOLDLINE_HOME to a folder on a larger disk"
    )
    return Check("disk", status, f"{free / _GIB:.1f} GiB free under {settings.home}", advice)


def _check_database(found: Inspection) -> Iterator[Check]:
    if found.server_supported:
        yield Check("server", "ok", f"PostgreSQL {found.server}")
    else:
        yield Check("server", "fail", f"PostgreSQL {found.server}", "upgrade it to 15 or newer")
    yield from _check_durability(found)
    if found.pending_revisions:
        yield Check(
            "migrations",
            "warn",
            f"not applied yet: {', '.join(found.pending_revisions)}",
            "run `foldline migrate`; `serve` and the others do it by themselves when they start",
        )
    else:
        yield Check("migrations", "ok", "none pending")
    if found.triggers is not None:
        yield from _check_grants(found)
        yield from _check_triggers(found.triggers)
    yield _check_clock(found)


def _check_durability(found: Inspection) -> Iterator[Check]:
    for finding in found.unmet_required:
        yield _setting_check(finding, "fail")
    if not found.unmet_required:
        yield Check("durability", "ok", "what is acknowledged survives a crash of the machine")
    for finding in found.unmet_advised:
        yield _setting_check(finding, "warn")


def _setting_check(finding: UnmetRequirement, status: Literal["warn", "fail"]) -> Check:
    return Check(
        "server setting",
        status,
        f"{finding.name} is {finding.value}: {finding.reason}",
        "set it in postgresql.conf (also look for ALTER SYSTEM, DATABASE and ROLE) and restart the server",
    )


def _check_grants(found: Inspection) -> Iterator[Check]:
    role = found.role
    if role is None:
        yield Check(
            "role",
            "warn",
            "there is no role foldline_service; only triggers keep events from being changed",
            "let a role that may create roles run `foldline migrate`",
        )
        return
    if not role.usable:
        yield Check(
            "role",
            "warn",
            "the connecting user may not step down to foldline_service and works with its own rights",
            "GRANT foldline_service TO the user in FOLDLINE_DSN",
        )
    excess = sorted(role.privileges - ALLOWED_PRIVILEGES)
    missing = sorted(ALLOWED_PRIVILEGES - role.privileges)
    if role.superuser or excess:
        what = "is a superuser" if role.superuser else f"may {', '.join(excess)} events"
        advice = f"REVOKE {', '.join(excess)} ON ledger.event FROM foldline_service, PUBLIC"
        if role.superuser:
            advice = "ALTER ROLE foldline_service NOSUPERUSER"
        yield Check("grants", "fail", f"foldline_service {what}", advice)
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
    off = [name for name in GUARD_TRIGGERS if triggers.get(name) != "A"]
    if off:
        yield Check(
            "triggers",
            "fail",
            f"not on guard: {', '.join(off)}; events could be changed or removed",
            "; ".join(f"ALTER TABLE ledger.event ENABLE ALWAYS TRIGGER {name}" for name in off),
        )
    else:
        yield Check("triggers", "ok", "updates, deletes and truncation of events are refused")


def _check_clock(found: Inspection) -> Check:
    ahead = found.clock_offset.total_seconds()
    told = f"the database is {abs(ahead):.3f} s {'ahead' if ahead >= 0 else 'behind'}"
    if abs(found.clock_offset) - found.clock_uncertainty > MAX_CLOCK_SKEW:
        return Check("clocks", "warn", told, "keep both machines' clocks right, with NTP")
    return Check("clocks", "ok", told)


def _check_projections(settings: Settings) -> Iterator[Check]:
    with open_service(settings) as svc:
        names = {it.id: it.name for it in svc.workspaces.list()}
        standings = svc.projector.status()
    for it in standings:
        name = f"{it.name} of workspace {names.get(it.workspace, it.workspace)}"
        if it.failure:
            yield Check(
                "projection",
                "fail",
                f"{name} stands at {it.position:,}, {it.lag:,} behind: {it.failure}",
                "the worker tries again by itself; if it stays, report this",
            )
        elif it.lag:
            yield Check(
                "projection",
                "warn",
                f"{name} is at {it.position:,}, {it.lag:,} events behind",
                "it catches up while `foldline serve` or `foldline worker` runs",
            )
        else:
            yield Check("projection", "ok", f"{name} is at the head, {it.position:,}")
