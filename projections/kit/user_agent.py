"""What the User-Agent of a browser or app says about the device that it runs on."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Literal, NamedTuple, get_args

from ua_parser import OS, Device, Parser, UserAgent
from ua_parser.loaders import load_lazy_builtins
from ua_parser.re2 import Resolver

DeviceType = Literal["unknown", "mobile", "tablet", "desktop", "spider", "TV", "console"]
DEVICE_TYPES: tuple[DeviceType, ...] = get_args(DeviceType)

MAX_LENGTH = 512
"""Characters of a User-Agent that are looked at; real ones have about 150."""

# The first that is found decides: a console is also a TV, a TV also runs Android.
_DEVICE_PATTERNS: tuple[tuple[DeviceType, re.Pattern[str]], ...] = (
    ("console", re.compile(r"playstation|nintendo|xbox|\bsteam ?deck", re.IGNORECASE)),
    (
        "TV",
        re.compile(
            r"smart-?tv|\btv\b|google ?tv|apple ?tv|hbbtv|netcast|web0s|webos\.tv|\broku|bravia|viera"
            r"|aquos|crkey|\baft[a-z]{1,5}\b|\bdtv\b|ce-html|philipstv|vidaa",
            re.IGNORECASE,
        ),
    ),
    ("tablet", re.compile(r"ipad|tablet|playbook|kindle|\bsilk\b(?!.*mobile)", re.IGNORECASE)),
    (
        "mobile",
        re.compile(
            r"iphone|ipod|mobi|windows phone|iemobile|blackberry|\bbb10\b|opera mini|symbian|kaios"
            r"|cfnetwork|okhttp",
            re.IGNORECASE,
        ),
    ),
    ("tablet", re.compile(r"android", re.IGNORECASE)),  # one that does not say that it is mobile
    ("desktop", re.compile(r"windows|macintosh|linux|x11|cros|freebsd|openbsd", re.IGNORECASE)),
)


class UserAgentClient(NamedTuple):
    """What runs where."""

    device_type: DeviceType
    browser_name: str | None = None
    browser_version: str | None = None
    os: str | None = None
    """With its version: ``Windows 10``, ``iOS 17.5``."""


UNKNOWN = UserAgentClient("unknown")


@lru_cache(maxsize=8192)  # the same few thousand come again and again, and one takes 0.1 ms
def parse_user_agent(user_agent: str) -> UserAgentClient:
    """Return what the User-Agent says; all unknown for one that says nothing."""
    if not user_agent.strip():
        return UNKNOWN
    text = user_agent[:MAX_LENGTH]
    parsed = _parser().parse(text)
    browser = parsed.user_agent
    return UserAgentClient(
        _device_type(text, parsed.device),
        browser.family if browser else None,
        _version(browser) if browser else None,
        _os(parsed.os) if parsed.os else None,
    )


@cache
def _parser() -> Parser:
    # When first asked for: the rules take 15 MB, which a server that projects nothing saves.
    return Parser(Resolver(load_lazy_builtins()))


def _device_type(text: str, device: Device | None) -> DeviceType:
    if device is not None and device.family == "Spider":
        return "spider"
    return next((kind for kind, shown in _DEVICE_PATTERNS if shown.search(text)), "unknown")


def _version(browser: UserAgent) -> str | None:
    parts = (browser.major, browser.minor, browser.patch, browser.patch_minor)
    return ".".join(it for it in parts if it is not None) or None


def _os(os: OS) -> str:
    version = ".".join(it for it in (os.major, os.minor) if it is not None)
    return f"{os.family} {version}" if version else os.family
