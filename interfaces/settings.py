"""What a person may set about a running Foldline, each with its flag, its environment name and its limits."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import platformdirs

from application.deliveries.addresses import parse_networks
from application.deliveries.encryption import parse_secret_key
from domain.core.errors import InvalidRequest


class InvalidSetting(InvalidRequest):
    """A setting has a value that Foldline cannot run with; the message names it and says what would do."""

    code = "invalid_setting"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One thing to set: where it is read from, what it is when nobody sets it, and what it means.

    ``default`` is spelled as it would be in the environment; empty means *not set*.
    ``read`` makes the value of a spelling, or raises ``ValueError`` with what would have done.
    """

    field: str
    env: str
    flag: str
    default: str
    help: str
    parse: Callable[[str], Any]


def _parse_integer(text: str, *, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise ValueError(f"a whole number from {least} to {most}")
    return number


def _parse_dsn(text: str) -> str | None:
    if not text:
        return None
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError(
            "a PostgreSQL address such as postgresql://user:password@host:5432/database"
        )
    return text


def _parse_folder(text: str) -> Path:
    if not text:
        return platformdirs.user_data_path("foldline", appauthor=False)
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ValueError("a folder; that user has no home to find it under") from None


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


def _define(name: str, default: str, read: Callable[[str], Any], help: str) -> Setting:  # noqa: A002 - typer's word
    return Setting(
        field=name,
        env=f"FOLDLINE_{name.upper()}",
        flag=f"--{name.replace('_', '-')}",
        default=default,
        help=help,
        parse=read,
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
        partial(_parse_integer, least=0, most=65_535),
        "Port to listen on; 0 takes any free one",
    ),
    _define(
        "workers",
        "1",
        partial(_parse_integer, least=1, most=64),
        "Server processes that take requests",
    ),
    _define(
        "log_level",
        "info",
        _parse_log_level,
        f"Least severe log line to write: {', '.join(_LOG_LEVELS)}",
    ),
    _define(
        "max_message_bytes",
        "32768",
        partial(_parse_integer, least=1_024, most=_MIB),
        "Largest single message, in bytes; a larger one is kept among the rejected",
    ),
    _define(
        "max_batch_bytes",
        "512000",
        partial(_parse_integer, least=1_024, most=64 * _MIB),
        "Largest request body once unpacked, in bytes",
    ),
    _define(
        "max_batch_messages",
        "2500",
        partial(_parse_integer, least=1, most=100_000),
        "Most messages in one request",
    ),
    _define(
        "flush_events",
        "2000",
        partial(_parse_integer, least=1, most=20_000),
        "Most events written to the ledger in one transaction",
    ),
    _define(
        "queue_events",
        "20000",
        partial(_parse_integer, least=1, most=1_000_000),
        "Most events that may wait for their transaction; beyond it requests are answered 503",
    ),
    _define(
        "secret_key",
        "",
        _check_secret_key,
        "32 random bytes in base64 that secrets of endpoints are kept encrypted with; not set: a file in the home folder beside the embedded"
        " database, and no endpoints on another",
    ),
    _define(
        "webhook_allow",
        "",
        _check_networks,
        "Networks, with commas between, that webhooks may go to beside the public internet, at any port and by plain http",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that is set, read once at start and passed on by whoever needs it.

    Sizes are bytes.  The limits of the Segment dialect (32 KiB a message, 500 KB a batch) are the defaults.
    """

    dsn: str | None = field(repr=False)  # may hold a password, and reprs end in logs
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
        """Read ``SETTINGS``: an override (a flag's value) wins over the environment, which wins over the default.

        ``None`` as an override and an empty variable both mean *not set*.  Raises ``InvalidSetting``.
        """
        environ = os.environ if environ is None else environ
        unknown = overrides.keys() - {setting.field for setting in SETTINGS}
        if unknown:
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
        settings = cls(**{one.field: _read_value(one, environ, overrides) for one in SETTINGS})
        _check_not_larger(settings, "max_message_bytes", "max_batch_bytes")
        _check_not_larger(settings, "flush_events", "queue_events")
        return settings


def _read_value(setting: Setting, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Any:
    name, text = setting.env, environ.get(setting.env, "").strip()
    if overrides.get(setting.field) is not None:
        name, text = setting.flag, str(overrides[setting.field])
    try:
        return setting.parse(text or setting.default)
    except ValueError as error:
        # A mistyped address may hold a password, so it is never repeated; nor is a key.
        was = "" if setting.field in {"dsn", "secret_key"} else f", not {text!r}"
        raise InvalidSetting(f"{name} must be {error}{was}", setting=setting.field) from None


def _check_not_larger(settings: Settings, small: str, large: str) -> None:
    if getattr(settings, small) <= getattr(settings, large):
        return
    names = {setting.field: setting.env for setting in SETTINGS}
    raise InvalidSetting(
        f"{names[small]} ({getattr(settings, small)}) is larger than {names[large]} "
        f"({getattr(settings, large)}): lower the first or raise the second",
        setting=small,
    )
