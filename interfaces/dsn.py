"""Addresses of PostgreSQL servers, which may contain a password."""

from __future__ import annotations

import re

SCHEMES = ("postgresql://", "postgres://")

_UNREADABLE = re.compile(r"%(?![0-9A-Fa-f]{2})|%00|\s")
"""What libpq refuses, with an error that repeats the text around it."""

_OPTIONS_WITH_AT = {"user", "password", "host", "port", "dbname", "options", "application_name"}
"""Options of an address in whose company an @ is plausible; others are pieces of a password."""


def public_address(text: str) -> str:
    """Returns hosts and database of an address, split as libpq splits it.

    Raises ValueError if libpq would read a part of the password as another part, because it is not escaped:
    libpq's errors repeat hosts, ports, options and what it cannot read.
    """
    if not text.startswith(SCHEMES):
        raise ValueError(
            "a PostgreSQL address such as postgresql://user:password@host:5432/database"
        )
    rest = text.partition("://")[2]
    if "@" in rest.partition("/")[0]:
        rest = rest.partition("@")[2]
    address, _, query = rest.partition("?")
    hosts, _, database = address.partition("/")
    options = {option.partition("=")[0] for option in query.split("&")}
    if (
        "@" in address
        or ("@" in query and not options <= _OPTIONS_WITH_AT)
        or _UNREADABLE.search(text)
    ):
        raise ValueError(
            "a PostgreSQL address in which / ? # @ % and blanks of a user or password are written as"
            " %2F %3F %23 %40 %25 %20"
        )
    return f"{hosts or 'a local socket'}{database and '/'}{database}"
