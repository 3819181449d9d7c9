"""Settings of the embedded PostgreSQL that suit the machine it finds itself on."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_MIB = 1_048_576

_CONFIGURATION = """\
# Written by Foldline at every start.  ALTER SYSTEM wins over it.
# What keeps acknowledged events (fsync, full_page_writes, synchronous_commit) stays as PostgreSQL has it: on.
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
# Statements and key values are personal data, and logs are kept and read by others.
log_checkpoints = off
log_min_error_statement = panic
log_error_verbosity = terse
"""


def configuration(socket_folder: Path, port: int, *, lz4: bool) -> str:
    """Text of a PostgreSQL configuration file; ``lz4`` says whether the server was built with that compression."""
    memory = _memory() // _MIB
    quoted = str(socket_folder).replace("'", "''")
    return _CONFIGURATION.format(
        port=port,
        socket_folder=f'"{quoted}"',
        shared_buffers=min(max(memory // 8, 128), 1_024),
        cache=max(memory // 2, 256),
        # pglz took 36 % of the rate of inserts under random keys and spared 3 % of the log.
        wal_compression="lz4" if lz4 else "off",
    )


def _memory() -> int:
    """Bytes of memory that we may use: the machine's, or less where a container is limited."""
    bytes_ = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            bytes_.append(int(Path(limit).read_text()))
    return min(bytes_)
