"""Configuration file of the embedded PostgreSQL, sized for this machine."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_MIB = 1_048_576

_CONFIGURATION = """\
# Written by Foldline at every start.  ALTER SYSTEM overrides it.
# Durability settings (fsync, full_page_writes, synchronous_commit) keep PostgreSQL's default: on.
listen_addresses = ''
port = {port}
unix_socket_directories = '{socket_folder}'
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = {shared_buffers}MB
effective_cache_size = {cache}MB
wal_buffers = 16MB
wal_compression = {wal_compression}
max_wal_size = 4GB
checkpoint_timeout = 15min
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
idle_in_transaction_session_timeout = 60s
# Statements and key values contain personal data, which must not reach the logs.
log_checkpoints = off
log_min_error_statement = panic
log_error_verbosity = terse
"""


def configuration(socket_folder: Path, port: int, *, lz4: bool) -> str:
    """Return the text of the configuration file; ``lz4``: the server supports that compression."""
    memory = _memory() // _MIB
    quoted = str(socket_folder).replace("'", "''")
    return _CONFIGURATION.format(
        port=port,
        socket_folder=f'"{quoted}"',
        shared_buffers=min(max(memory // 8, 128), 1_024),
        cache=max(memory // 2, 256),
        # pglz reduced the insert rate under random keys by 36 % and the size of the WAL by only 3 %.
        wal_compression="lz4" if lz4 else "off",
    )


def _memory() -> int:
    """Return the bytes of available memory: those of the machine, or of the container's limit."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            limits.append(int(Path(path).read_text()))
    return min(limits)
