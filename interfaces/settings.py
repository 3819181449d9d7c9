"""Settings of Foldline, each with its flag, environment variable and limits."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import platformdirs

from application.deliveries.networks import parse_networks
from application.deliveries.secret_key import parse_secret_key
from domain.core.errors import InvalidRequest
from interfaces.dsn import public_address


class InvalidSetting(InvalidRequest):
    """A setting has an invalid value; the message names the setting and the valid values."""

    code = "invalid_setting"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting: its sources, default, meaning and parser.

    ``default`` is text, as in the environment; empty means *not set*.
    ``parse`` converts text to the value, or raises ``ValueError`` with a description of valid values.
    """

    field: str
    env: str
    flag: str
    default: str
    help: str
    parse: Callable[[str], Any]


def _parse_integer(text: str, *, minimum: int, maximum: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = minimum - 1
    if not minimum <= number <= maximum:
        raise ValueError(f"a whole number from {minimum} to {maximum}")
    return number


def _parse_dsn(text: str) -> str | None:
    if not text:
        return None
    public_address(text)  # raises ValueError
    return text


def _parse_folder(text: str) -> Path:
    if not text:
        return platformdirs.user_data_path("foldline", appauthor=False)
    try:
        return Path(text).expanduser().resolve()
    except RuntimeError:
        raise ValueError(
            "a folder; the user named in the path has no home folder, or its links form a loop"
        ) from None


def _parse_host(text: str) -> str:
    if not text or any(character.isspace() or character == "/" for character in text):
        raise ValueError(
            "a host name or an address such as 127.0.0.1, or 0.0.0.0 for every interface"
        )
    return text


_LOG_LEVELS = ("debug", "info", "warning", "error")


def _parse_log_level(text: str) -> str:
    if text.lower() not in _LOG_LEVELS:
        raise ValueError(f"one of {', '.join(_LOG_LEVELS)}")
    return text.lower()


def _check_secret_key(text: str) -> str:
    parse_secret_key(text)
    return text


def _check_networks(text: str) -> str:
    try:
        parse_networks(text)
    except ValueError:
        raise ValueError("networks such as 10.1.0.0/16, ::1/128") from None
    return text


def _define(name: str, default: str, parse: Callable[[str], Any], help: str) -> Setting:  # noqa: A002 - Typer's name for it
    return Setting(
        field=name,
        env=f"FOLDLINE_{name.upper()}",
        flag=f"--{name.replace('_', '-')}",
        default=default,
        help=help,
        parse=parse,
    )


_MIB = 1_048_576

SETTINGS: tuple[Setting, ...] = (
    _define(
        "dsn",
        "",
        _parse_dsn,
        "PostgreSQL 15 or later to use; not set: PostgreSQL 18 embedded in the home folder",
    ),
    _define(
        "home",
        "",
        _parse_folder,
        "Folder of the embedded database; not set: the user's data folder",
    ),
    _define("host", "127.0.0.1", _parse_host, "Address to listen on; 0.0.0.0 for every interface"),
    _define(
        "port",
        "8080",
        partial(_parse_integer, minimum=0, maximum=65_535),
        "Port to listen on; 0 selects a free port",
    ),
    _define(
        "workers",
        "1",
        partial(_parse_integer, minimum=1, maximum=64),
        "Number of server processes",
    ),
    _define(
        "log_level",
        "info",
        _parse_log_level,
        f"Minimum severity of log lines: {', '.join(_LOG_LEVELS)}",
    ),
    _define(
        "max_message_bytes",
        "32768",
        partial(_parse_integer, minimum=1_024, maximum=_MIB),
        "Maximum message size in bytes; larger messages are rejected and stored",
    ),
    _define(
        "max_batch_bytes",
        "512000",
        partial(_parse_integer, minimum=1_024, maximum=64 * _MIB),
        "Maximum size of a decompressed request body in bytes",
    ),
    _define(
        "max_batch_messages",
        "2500",
        partial(_parse_integer, minimum=1, maximum=100_000),
        "Maximum number of messages in one request",
    ),
    _define(
        "flush_events",
        "2000",
        partial(_parse_integer, minimum=1, maximum=20_000),
        "Maximum number of events written to the ledger in one transaction",
    ),
    _define(
        "queue_events",
        "20000",
        partial(_parse_integer, minimum=1, maximum=1_000_000),
        "Maximum number of queued events; beyond it requests return 503",
    ),
    _define(
        "secret_key",
        "",
        _check_secret_key,
        "Base64 of 32 random bytes, which encrypts endpoint secrets at rest; not set: a key file in the home folder with the"
        " embedded database, and no endpoints with an external one",
    ),
    _define(
        "webhook_allow",
        "",
        _check_networks,
        "Comma-separated networks allowed for webhooks besides the public internet, on any port and over plain http",
    ),
)


_NO_SETTINGS = ("FOLDLINE_DB_PASSWORD", "FOLDLINE_TEST_", "FOLDLINE_BENCH_")
"""Beginnings of other variables: those of docker-compose.yml and of the tests."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Values of all settings, read once at the start.

    Sizes are bytes.  The defaults are the limits of Segment's API: 32 KiB per message, 500 KB per batch.
    """

    dsn: str | None = field(repr=False)  # may contain a password, and reprs end up in logs
    home: Path
    host: str
    port: int
    workers: int
    log_level: str
    max_message_bytes: int
    max_batch_bytes: int
    max_batch_messages: int
    flush_events: int
    queue_events: int
    secret_key: str = field(repr=False)
    webhook_allow: str

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, **overrides: Any
    ) -> Settings:
        """Read ``SETTINGS`` from overrides (values of flags), then the environment, then defaults.

        ``None`` as an override and an empty variable both mean *not set*.  Raises ``InvalidSetting``.
        """
        environ = os.environ if environ is None else environ
        unknown = overrides.keys() - {setting.field for setting in SETTINGS}
        if unknown:
            raise TypeError(f"unknown setting: {', '.join(sorted(unknown))}")
        settings = cls(
            **{setting.field: _read_value(setting, environ, overrides) for setting in SETTINGS}
        )
        _check_not_larger(settings, "max_message_bytes", "max_batch_bytes")
        _check_not_larger(settings, "flush_events", "queue_events")
        return settings


def unknown_variables(environ: Mapping[str, str]) -> Sequence[str]:
    """Returns a warning for each variable that looks like a setting and is none."""
    known = {setting.env for setting in SETTINGS}
    warnings = []
    for name in sorted(environ):
        if not name.startswith("FOLDLINE_") or name in known or name.startswith(_NO_SETTINGS):
            continue
        [guess] = get_close_matches(name, known, n=1, cutoff=0.8) or [""]
        hint = (
            f"did you mean {guess}?"
            if guess
            else "the settings are those of `foldline serve --help`"
        )
        warnings.append(f"{name} is not a setting, and is ignored; {hint}")
    return warnings


def _read_value(setting: Setting, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Any:
    name, text = setting.env, environ.get(setting.env, "").strip()
    if overrides.get(setting.field) is not None:
        name, text = setting.flag, str(overrides[setting.field])
    try:
        return setting.parse(text or setting.default)
    except ValueError as error:
        # An address may contain a password, so neither it nor a key is repeated.
        actual = "" if setting.field in {"dsn", "secret_key"} else f", not {text!r}"
        raise InvalidSetting(f"{name} must be {error}{actual}", setting=setting.field) from None


def _check_not_larger(settings: Settings, small: str, large: str) -> None:
    if getattr(settings, small) <= getattr(settings, large):
        return
    names = {setting.field: setting.env for setting in SETTINGS}
    raise InvalidSetting(
        f"{names[small]} ({getattr(settings, small)}) is larger than {names[large]} "
        f"({getattr(settings, large)}): lower the first or raise the second",
        setting=small,
    )
