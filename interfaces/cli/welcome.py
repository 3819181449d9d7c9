"""Text printed at the first start: keys, addresses, and commands to copy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import typer

from application.ledger.tables.keys import CreatedKey

_KEY_USES: Mapping[str, str] = {
    "write": "sends events; for SDKs and web pages",
    "read": "queries",
    "admin": "everything, including managing keys",
}


def print_first_keys(keys: list[CreatedKey], url: str, *, err: bool = False) -> None:
    """Print the keys of the workspace that was just created, with commands to try them."""
    if not keys:
        return
    echo = partial(typer.echo, err=err)
    echo("First start: created workspace `default`. Its keys are shown only once:\n")
    echo(format_keys(keys))
    echo("\nSend an event, then read it back:\n")
    echo(format_curl_commands(url, keys))
    echo()


def format_keys(keys: Iterable[CreatedKey]) -> str:
    """Format keys as text: each key on a line, its use on the next."""
    return "\n".join(f"  {key.kind:<6} {key.text}\n  {'':<6} {_KEY_USES[key.kind]}" for key in keys)


def format_curl_commands(url: str, keys: Iterable[CreatedKey]) -> str:
    """Format a command that sends an event and one that reads it back."""
    text = {key.kind: key.text for key in keys}
    event = '{"event": "Hello", "userId": "u-1", "properties": {"from": "curl"}}'
    return (
        f"  curl {url}/v1/track -u {text['write']}: -d '{event}'\n"
        f"  curl '{url}/v1/events?name=Hello' -H 'Authorization: Bearer {text['read']}'"
    )


def format_exports(url: str, keys: Iterable[CreatedKey]) -> str:
    """Format `export` lines for a shell: URL, WRITE_KEY, READ_KEY and ADMIN_KEY."""
    lines = [f"export URL={url}", *(f"export {key.kind.upper()}_KEY={key.text}" for key in keys)]
    return "\n".join(lines)
