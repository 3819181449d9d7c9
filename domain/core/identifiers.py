"""Identifiers of profiles, and keyed digests that name streams and detect duplicates."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

KINDS_BY_STRENGTH = ("user_id", "email", "phone", "external_id", "anonymous_id")
"""Kinds of identifier, strongest first: a message goes to the stream of its strongest."""

MAX_IDENTIFIER_BYTES = 1024
"""Longest identifier, in UTF-8 bytes (reliability notes, input policy)."""

BLOCKED_VALUES = frozenset(
    {
        "null",
        "undefined",
        "none",
        "nil",
        "nan",
        "0",
        "-1",
        "true",
        "false",
        "anonymous",
        "guest",
        "unknown",
        "[object object]",
        "00000000-0000-0000-0000-000000000000",
    }
)
"""Placeholder values that faulty clients send for many customers; they never link two identifiers."""


class Identifier(NamedTuple):
    """One identifier of a profile, such as ``("user_id", "u-1")``."""

    kind: str
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


def normalise(kind: str, value: str) -> Identifier:
    """Returns the identifier in the form in which it is compared.

    E-mail addresses are compared without case and outer blanks; all other kinds as sent.
    """
    if kind == "email":
        value = value.strip().lower()
    return Identifier(kind, value)


def is_blocked(identifier: Identifier) -> bool:
    """Returns whether the value is a placeholder that identifies no profile."""
    value = identifier.value.strip().lower()
    return value in BLOCKED_VALUES or not value.strip("0-")


def strongest(identifiers: tuple[Identifier, ...]) -> Identifier | None:
    """Returns the identifier whose stream receives the message; None if there is none.

    A blocked value is used only if every value is blocked.
    """
    return min(
        identifiers,
        key=lambda identifier: (
            is_blocked(identifier),
            KINDS_BY_STRENGTH.index(identifier.kind),
            identifier.value,
        ),
        default=None,
    )


def hash_for(purpose: bytes) -> Callable[..., blake2b]:
    """Returns blake2b with 16 bytes of output, personalised so that purposes never collide."""
    options: dict[str, Any] = {"person": purpose}
    return partial(blake2b, digest_size=16, **options)


_stream_hash = hash_for(b"stream")
_system_hash = hash_for(b"system")
_segment_hash = hash_for(b"segment")
_funnel_hash = hash_for(b"funnel")
_attributes_hash = hash_for(b"attributes")
_rule_hash = hash_for(b"rule")
_trigger_hash = hash_for(b"trigger")
_message_hash = hash_for(b"message")
_link_hash = hash_for(b"link")


def stream_id(secret: bytes, identifier: Identifier) -> bytes:
    """Returns the 16 bytes that name the identifier's event stream in one workspace.

    Keyed with the workspace's secret, so that a ledger header does not reveal the identifier.
    """
    kind, value = identifier
    text = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
    return _stream_hash(text, key=secret).digest()


def system_stream(secret: bytes) -> bytes:
    """Returns the id of the stream of events that concern no single profile."""
    return _system_hash(b"", key=secret).digest()


def segment_stream(secret: bytes, segment: str) -> bytes:
    """Returns the id of the stream of a segment's definition events."""
    return _segment_hash(segment.encode(), key=secret).digest()


def funnel_stream(secret: bytes, funnel: str) -> bytes:
    """Returns the id of the stream of a saved funnel's definition events."""
    return _funnel_hash(funnel.encode(), key=secret).digest()


def attributes_stream(secret: bytes) -> bytes:
    """Returns the id of the stream of the definition events of all computed attributes."""
    return _attributes_hash(b"", key=secret).digest()


def rule_stream(secret: bytes, rule: str) -> bytes:
    """Returns the id of the stream of an automation rule's definition events."""
    return _rule_hash(rule.encode(), key=secret).digest()


def trigger_digest(secret: bytes, rule: str, version: int, cause: str) -> bytes:
    """Returns the 16 bytes that record for ever that a rule fired for a cause.

    Never equal to a message's digest, whatever the message id.
    """
    text = f"{rule}\0{version}\0{cause}".encode()
    return _trigger_hash(text, key=secret).digest()


def message_digest(secret: bytes, message_id: str) -> bytes:
    """Returns the 16 bytes that record a message id for ever, to detect duplicates.

    They are also the id of the event that records the message.
    """
    return message_digests(secret)(message_id)


def message_digests(secret: bytes) -> Callable[[str], bytes]:
    """Returns `message_digest` with the secret hashed once, which halves the cost of a digest."""
    keyed = _message_hash(key=secret).copy

    def digest(message_id: str) -> bytes:
        hasher = keyed()
        hasher.update(message_id.encode("utf-8", "surrogatepass"))
        return hasher.digest()

    return digest


def link_digest(secret: bytes, left: Identifier, right: Identifier) -> bytes:
    """Returns the 16 bytes of a pair of identifiers, the same in either order."""
    first, second = sorted((left, right))
    text = "\0".join((*first, *second)).encode("utf-8", "surrogatepass")
    return _link_hash(text, key=secret).digest()
