"""The names a person goes by, and the stream that each name owns."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

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
"""Values that broken clients send for many people at once; they never link two identifiers."""


class Identifier(NamedTuple):
    """One name of a person, such as ``("user_id", "u-1")``."""

    kind: str
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


def normalise(kind: str, value: str) -> Identifier:
    """Return the identifier in the form in which it is compared.

    E-mail addresses are compared without case; everything else is compared as sent.
    """
    if kind == "email":
        value = value.strip().lower()
    return Identifier(kind, value)


def is_blocked(identifier: Identifier) -> bool:
    """Say whether the value is one that clients send when they mean nobody."""
    value = identifier.value.strip().lower()
    return value in BLOCKED_VALUES or not value.strip("0-")


def strongest(identifiers: tuple[Identifier, ...]) -> Identifier | None:
    """Return the identifier whose stream takes the message, or None if there is none.

    A blocked value is used only when nothing better is there.
    """
    return min(
        identifiers,
        key=lambda it: (is_blocked(it), KINDS_BY_STRENGTH.index(it.kind), it.value),
        default=None,
    )


def stream_id(secret: bytes, identifier: Identifier) -> bytes:
    """Return the 16 bytes that name the identifier's stream in one workspace.

    Keyed with the workspace's secret, so that a ledger header tells nobody who it is about.
    """
    kind, value = identifier
    text = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=16, key=secret, person=b"stream").digest()


def system_stream(secret: bytes) -> bytes:
    """Return the stream of events that concern no single person."""
    return blake2b(b"", digest_size=16, key=secret, person=b"system").digest()


def segment_stream(secret: bytes, segment: str) -> bytes:
    """Return the stream of what was decided about a segment."""
    return blake2b(segment.encode(), digest_size=16, key=secret, person=b"segment").digest()


def funnel_stream(secret: bytes, funnel: str) -> bytes:
    """Return the stream of what was decided about a saved funnel."""
    return blake2b(funnel.encode(), digest_size=16, key=secret, person=b"funnel").digest()


def attributes_stream(secret: bytes) -> bytes:
    """Return the stream of what was decided about computed attributes."""
    return blake2b(b"", digest_size=16, key=secret, person=b"attributes").digest()


def rule_stream(secret: bytes, rule: str) -> bytes:
    """Return the stream of what was decided about an automation rule."""
    return blake2b(rule.encode(), digest_size=16, key=secret, person=b"rule").digest()


def trigger_digest(secret: bytes, rule: str, version: int, cause: str) -> bytes:
    """Return the 16 bytes under which it is remembered for ever that a rule fired, and why.

    No message has the same, whatever its id.
    """
    text = f"{rule}\0{version}\0{cause}".encode()
    return blake2b(text, digest_size=16, key=secret, person=b"trigger").digest()


def message_digest(secret: bytes, message_id: str) -> bytes:
    """Return the 16 bytes under which a message id is remembered for ever.

    It is also the id of the event that records the message.
    """
    return message_digests(secret)(message_id)


def message_digests(secret: bytes) -> Callable[[str], bytes]:
    """Return `message_digest` with its secret taken in once: half of what each digest costs."""
    keyed = blake2b(digest_size=16, key=secret, person=b"message").copy

    def digest(message_id: str) -> bytes:
        hasher = keyed()
        hasher.update(message_id.encode("utf-8", "surrogatepass"))
        return hasher.digest()

    return digest


def link_digest(secret: bytes, left: Identifier, right: Identifier) -> bytes:
    """Return the 16 bytes that stand for a pair of identifiers, whichever comes first."""
    first, second = sorted((left, right))
    text = "\0".join((*first, *second)).encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=16, key=secret, person=b"link").digest()
