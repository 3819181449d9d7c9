"""What segments, rules and their like may be called and described by."""

from __future__ import annotations

import re

import msgspec

from domain.core.errors import InvalidRequest

MAX_NAME_LENGTH, MAX_DESCRIPTION_LENGTH = 200, 2_000
MAX_DOCUMENT_BYTES = 100_000
"""Longest condition or rule, as JSON."""

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_NUL = re.compile(rb"(?<!\\)(\\\\)*\\u0000")


def check_id(kind: str, id_: str, example: str) -> None:
    """Raise InvalidRequest unless an id is fit for addresses."""
    if not _ID.fullmatch(id_):
        raise InvalidRequest(
            f"{id_!r} is no {kind} id; write 1 to 64 of a-z, 0-9, - and _, such as {example}"
        )


def check_texts(kind: str, name: str, description: str, document: bytes) -> None:
    """Raise InvalidRequest for what is too long, or cannot be kept."""
    if not name.strip() or len(name) > MAX_NAME_LENGTH:
        raise InvalidRequest(f"a {kind}'s name has 1 to {MAX_NAME_LENGTH} characters")
    if len(description) > MAX_DESCRIPTION_LENGTH:
        raise InvalidRequest(
            f"a {kind}'s description has at most {MAX_DESCRIPTION_LENGTH} characters"
        )
    if len(document) > MAX_DOCUMENT_BYTES:
        raise InvalidRequest(f"a {kind} has at most {MAX_DOCUMENT_BYTES:,} bytes", path="")
    if "\0" in name + description or _NUL.search(document):
        raise InvalidRequest("NUL can be part of no value")


def decode_json(kind: str, document: bytes) -> object:
    """Return what JSON text says.  Raises InvalidRequest."""
    try:
        return msgspec.json.decode(document)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"the {kind} is no JSON: {error}", path="") from None
