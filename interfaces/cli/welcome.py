"""What a person sees first: keys, addresses, and commands to copy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import typer

from application.ledger.tables.keys import NewKey

_USES: Mapping[str, str] = {
    "write": "sends events; for SDKs and web pages",
    "read": "asks questions",
    "admin": "does both, and makes keys",
}


def show_first_keys(keys: list[NewKey], url: str, *, err: bool = False) -> None:
    """Print the keys of a workspace that was just made, with something to try them on."""
    if not keys:
        return
    say = partial(typer.echo, err=err)
    say("This is the first start: workspace `default` was made. Its keys are shown this once:\n")
    say(keys_text(keys))
    say("\nSend an event, then read it back:\n")
    say(curls_text(url, keys))
    say()


def keys_text(keys: Iterable[NewKey]) -> str:
    """Return one key a line, each with what it is for."""
    return "\n".join(f"  {key.kind:<6} {key.text}\n  {'':<6} {_USES[key.kind]}" for key in keys)


def curls_text(url: str, keys: Iterable[NewKey]) -> str:
    """Return a command that sends an event and one that reads it back."""
    text = {key.kind: key.text for key in keys}
    event = '{"event": "Hello", "userId": "u-1", "properties": {"from": "curl"}}'
    return (
        f"  curl {url}/v1/track -u {text['write']}: -d '{event}'\n"
        f"  curl '{url}/v1/events?name=Hello' -H 'Authorization: Bearer {text['read']}'"
    )
