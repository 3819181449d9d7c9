"""What a person sees first: keys, addresses, and commands to copy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import typer

from application.ledger.tables.keys import CreatedKey

_KEY_USES: Mapping[str, str] = {
    "write": "sends events; for SDKs and web pages",
    "read": "asks questions",
    "admin": "does both, and makes keys",
}


def print_first_keys(keys: list[CreatedKey], url: str, *, err: bool = False) -> None:
    """Print the keys of a workspace that was just made, with something to try them on."""
    if not keys:
        return
    say = partial(typer.echo, err=err)
    say("This is the first start: workspace `default` was made. Its keys are shown this once:\n")
    say(format_keys(keys))
    say("\nSend an event, then read it back:\n")
    say(format_curl_commands(url, keys))
    say()


def format_keys(keys: Iterable[CreatedKey]) -> str:
    """Return one key a line, each with what it is for."""
    return "\n".join(f"  {key.kind:<6} {key.text}\n  {'':<6} {_KEY_USES[key.kind]}" for key in keys)


def format_curl_commands(url: str, keys: Iterable[CreatedKey]) -> str:
    """Return a command that sends an event and one that reads it back."""
    text = {key.kind: key.text for key in keys}
    event = '{"event": "Hello", "userId": "u-1", "properties": {"from": "curl"}}'
    return (
        f"  curl {url}/v1/track -u {text['write']}: -d '{event}'\n"
        f"  curl '{url}/v1/events?name=Hello' -H 'Authorization: Bearer {text['read']}'"
    )


def format_exports(url: str, keys: Iterable[CreatedKey]) -> str:
    """Return `export` lines for a shell: URL, WRITE_KEY, READ_KEY and ADMIN_KEY."""
    lines = [f"export URL={url}", *(f"export {it.kind.upper()}_KEY={it.text}" for it in keys)]
    return "\n".join(lines)
