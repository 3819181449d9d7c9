"""What a person may set about a running Foldline, each with its flag, its environment name and its limits."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import platformdirs

from application.deliveries.addresses import networks
from application.deliveries.encryption import key_of
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
    read: Callable[[str], Any]


def _whole(text: str, *, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise ValueError(f"a whole number from {least} to {most}")
    return number


def _database(text: str) -> str | None:
    if not text:
        return None
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError(
            "a PostgreSQL address such as postgresql://user:password@host:5432/database"
        )
    return text


def _folder(text: str) -> Path:
    if not text:
        return platformdirs.user_data_path("foldline", appauthor=False)
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ValueError("a folder; that user has no home to find it under") from None


def _address(text: str) -> str:
    if not text or any(character.isspace() or character == "/" for character in text):
        raise ValueError(
            "a host name or an address such as 127.0.0.1, or 0.0.0.0 for every interface"
        )
    return text


_LOG_LEVELS = ("debug", "info", "warning", "error")


def _log_level(text: str) -> str:
    if text.lower() not in _LOG_LEVELS:
        raise ValueError(f"one of {', '.join(_LOG_LEVELS)}")
    return text.lower()


def _key(text: str) -> str:
    key_of(text)
    return text


def _networks(text: str) -> str:
    try:
        networks(text)
    except ValueError:
        raise ValueError("networks such as 10.1.0.0/16, ::1/128") from None
    return text


def _setting(name: str, default: str, read: Callable[[str], Any], help: str) -> Setting:  # noqa: A002 - typer's word
    return Setting(
        field=name,
        env=f"FOLDLINE_{name.upper()}",
        flag=f"--{name.replace('_', '-')}",
        default=default,
        help=help,
        read=read,
    )


_MIB = 1_048_576

SETTINGS: tuple[Setting, ...] = (
    _setting(
        "dsn",
        "",
        _database,
        "PostgreSQL 15 or later to use; not set: PostgreSQL 18 embedded in the home folder",
    ),
    _setting(
        "home", "", _folder, "Folder of the embedded database; not set: the user's data folder"
    ),
    _setting("host", "127.0.0.1", _address, "Address to listen on; 0.0.0.0 for every interface"),
    _setting(
        "port",
        "8080",
        partial(_whole, least=0, most=65_535),
        "Port to listen on; 0 takes any free one",
    ),
    _setting(
        "workers", "1", partial(_whole, least=1, most=64), "Server processes that take requests"
    ),
    _setting(
        "log_level", "info", _log_level, f"Least severe log line to write: {', '.join(_LOG_LEVELS)}"
    ),
    _setting(
        "max_message_bytes",
        "32768",
        partial(_whole, least=1_024, most=_MIB),
        "Largest single message, in bytes; a larger one is kept among the rejected",
    ),
    _setting(
        "max_batch_bytes",
        "512000",
        partial(_whole, least=1_024, most=64 * _MIB),
        "Largest request body once unpacked, in bytes",
    ),
    _setting(
        "max_batch_messages",
        "2500",
        partial(_whole, least=1, most=100_000),
        "Most messages in one request",
    ),
    _setting(
        "flush_events",
        "2000",
        partial(_whole, least=1, most=20_000),
        "Most events written to the ledger in one transaction",
    ),
    _setting(
        "queue_events",
        "20000",
        partial(_whole, least=1, most=1_000_000),
        "Most events that may wait for their transaction; beyond it requests are answered 503",
    ),
    _setting(
        "secret_key",
        "",
        _key,
        "32 random bytes in base64 that secrets of endpoints are kept encrypted with; not set: a file in the home folder beside the embedded"
        " database, and no endpoints on another",
    ),
    _setting(
        "webhook_allow",
        "",
        _networks,
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
        settings = cls(**{one.field: _value(one, environ, overrides) for one in SETTINGS})
        _must_not_exceed(settings, "max_message_bytes", "max_batch_bytes")
        _must_not_exceed(settings, "flush_events", "queue_events")
        return settings


def _value(setting: Setting, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Any:
    name, text = setting.env, environ.get(setting.env, "").strip()
    if overrides.get(setting.field) is not None:
        name, text = setting.flag, str(overrides[setting.field])
    try:
        return setting.read(text or setting.default)
    except ValueError as error:
        # A mistyped address may hold a password, so it is never repeated; nor is a key.
        was = "" if setting.field in {"dsn", "secret_key"} else f", not {text!r}"
        raise InvalidSetting(f"{name} must be {error}{was}", setting=setting.field) from None


def _must_not_exceed(settings: Settings, small: str, large: str) -> None:
    if getattr(settings, small) <= getattr(settings, large):
        return
    names = {setting.field: setting.env for setting in SETTINGS}
    raise InvalidSetting(
        f"{names[small]} ({getattr(settings, small)}) is larger than {names[large]} "
        f"({getattr(settings, large)}): lower the first or raise the second",
        setting=small,
    )
