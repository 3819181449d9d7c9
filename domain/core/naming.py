"""Rules for the ids, names and descriptions of segments, rules and other definitions."""

from __future__ import annotations

import re

import msgspec

from domain.core.errors import InvalidRequest

MAX_NAME_LENGTH, MAX_DESCRIPTION_LENGTH = 200, 2_000
MAX_DOCUMENT_BYTES = 100_000
"""Longest condition or rule, as JSON."""

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_ESCAPED_NUL = re.compile(rb"(?<!\\)(\\\\)*\\u0000")


def check_id(kind: str, id_: str, example: str) -> None:
    """Raises InvalidRequest unless an id can be part of a URL path."""
    if not _ID.fullmatch(id_):
        raise InvalidRequest(
            f"{id_[:100]!r} is not a valid {kind} id; use 1 to 64 characters of a-z, 0-9, - and _,"
            f" e.g. {example}"
        )


def check_texts(kind: str, name: str, description: str, document: bytes) -> None:
    """Raises InvalidRequest for a text that is empty, too long or contains NUL.

    PostgreSQL's ``text`` and ``jsonb`` cannot store NUL.
    """
    if not name.strip() or len(name) > MAX_NAME_LENGTH:
        raise InvalidRequest(f"the name of a {kind} must have 1 to {MAX_NAME_LENGTH} characters")
    if len(description) > MAX_DESCRIPTION_LENGTH:
        raise InvalidRequest(
            f"the description of a {kind} must have at most {MAX_DESCRIPTION_LENGTH} characters"
        )
    if len(document) > MAX_DOCUMENT_BYTES:
        raise InvalidRequest(
            f"the JSON of a {kind} must have at most {MAX_DOCUMENT_BYTES:,} bytes", path=""
        )
    if "\0" in name + description or _ESCAPED_NUL.search(document):
        raise InvalidRequest(f"a {kind} must not contain NUL")


def decode_json(kind: str, document: bytes) -> object:
    """Decodes JSON text.  Raises InvalidRequest."""
    try:
        return msgspec.json.decode(document)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"the {kind} is not valid JSON: {error}", path="") from None
