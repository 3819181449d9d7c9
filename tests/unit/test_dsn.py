"""Addresses of a database: no part of a password is taken for another part."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from interfaces.dsn import public_address
from interfaces.settings import InvalidSetting, Settings

SECRET = "s3cretQ"


@pytest.mark.parametrize(
    ("dsn", "public"),
    [
        ("postgresql://u:s3cretQ@db.example:5432/shop", "db.example:5432/shop"),
        ("postgres://u:s3cretQ#x@db.example/shop", "db.example/shop"),
        ("postgresql://u:x?s3cretQ@db.example/shop", "db.example/shop"),
        ("postgresql://u:x?a=s3cretQ@db.example", "db.example"),
        ("postgresql://u:s3cretQ:x@[::1]:5432/shop", "[::1]:5432/shop"),
        ("postgresql://u:%2Fs3cretQ%40@a:1,b:2/shop?target_session_attrs=any", "a:1,b:2/shop"),
        ("postgresql://db.example/shop?user=u&password=s3cretQ", "db.example/shop"),
        ("postgresql:///shop?host=/tmp&user=me@corp", "a local socket/shop"),
        ("postgresql://", "a local socket"),
    ],
)
def test_the_public_address_is_the_server_that_is_connected_to(dsn: str, public: str) -> None:
    assert conninfo_to_dict(dsn).get("password", SECRET).find(SECRET) >= 0
    assert public_address(dsn) == public


@pytest.mark.parametrize(
    "password",
    [
        "s3cretQ/x",
        "x/s3cretQ",
        "s3cretQ@x",
        "x@s3cretQ",
        "s3cretQ%zz",
        "x?y/s3cretQ",
        "x/y?s3cretQ",
    ],
)
def test_a_password_that_is_not_escaped_is_refused_and_not_repeated(password: str) -> None:
    with pytest.raises(InvalidSetting, match=r"FOLDLINE_DSN must be .* written as %2F") as refused:
        Settings.from_environment({"FOLDLINE_DSN": f"postgresql://u:{password}@db.example/shop"})
    assert SECRET not in str(refused.value)


@given(st.text("aZ9/?#@:%=&+-. ", max_size=12), st.text("aZ9/?#@:%=&+-. ", max_size=12))
def test_whatever_surrounds_it_a_password_is_never_shown(before: str, after: str) -> None:
    """Also not by libpq, whose errors repeat hosts, ports and what it cannot read."""
    dsn = f"postgresql://u:{before}{SECRET}{after}@db.example:5432/shop"
    with suppress(ValueError):
        assert SECRET not in public_address(dsn)
        assert SECRET not in _repeated_by_libpq(dsn)


def _repeated_by_libpq(dsn: str) -> str:
    """Return what libpq's errors repeat of an address."""
    try:
        parts = conninfo_to_dict(dsn)
    except ProgrammingError as error:
        return str(error)
    return " ".join(str(value) for name, value in parts.items() if name != "password")
