#!/usr/bin/env bash
# Run a command with FOLDLINE_TEST_DSN naming a PostgreSQL 15 that is started for it (Debian's postgresql-15).
set -euo pipefail
bin=/usr/lib/postgresql/15/bin
[ -x $bin/initdb ] || { echo "PostgreSQL 15 is not here: apt-get install postgresql-15" >&2; exit 2; }

home=$(mktemp -d) # short enough for a socket
as_owner() { "$bin/$@"; }
if [ "$(id -u)" = 0 ]; then # PostgreSQL does not run as root
    chown postgres "$home"
    as_owner() { runuser -u postgres -- "$bin/$@"; }
fi
stop() { as_owner pg_ctl -D "$home/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$home"; }
trap stop EXIT
as_owner initdb -D "$home/data" -U postgres --encoding=UTF8 --data-checksums --auth=trust >/dev/null
as_owner pg_ctl -w -D "$home/data" -l "$home/log" -o "-c listen_addresses='' -k $home" start >/dev/null
FOLDLINE_TEST_DSN="postgresql://postgres@/postgres?host=$home" "$@"
