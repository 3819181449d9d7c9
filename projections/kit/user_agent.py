"""Device type, browser and operating system of a User-Agent."""

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
"""Characters of a User-Agent that are parsed; real ones have about 150."""

# The first match decides: a console is also a TV, a TV also runs Android.
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
    ("tablet", re.compile(r"android", re.IGNORECASE)),  # without the mobile marker of phones
    ("desktop", re.compile(r"windows|macintosh|linux|x11|cros|freebsd|openbsd", re.IGNORECASE)),
)


class UserAgentClient(NamedTuple):
    """Device type, browser and operating system of a client."""

    device_type: DeviceType
    browser_name: str | None = None
    browser_version: str | None = None
    os: str | None = None
    """With its version: ``Windows 10``, ``iOS 17.5``."""


UNKNOWN = UserAgentClient("unknown")


@lru_cache(maxsize=8192)  # a few thousand recur, and parsing one takes 0.1 ms
def parse_user_agent(user_agent: str) -> UserAgentClient:
    """Parses a User-Agent; everything is unknown for one that names nothing."""
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
    # Loaded on first use: the rules take 15 MB, which a server that does not project saves.
    return Parser(Resolver(load_lazy_builtins()))


def _device_type(text: str, device: Device | None) -> DeviceType:
    if device is not None and device.family == "Spider":
        return "spider"
    return next((kind for kind, pattern in _DEVICE_PATTERNS if pattern.search(text)), "unknown")


def _version(browser: UserAgent) -> str | None:
    parts = (browser.major, browser.minor, browser.patch, browser.patch_minor)
    return ".".join(part for part in parts if part is not None) or None


def _os(os: OS) -> str:
    version = ".".join(part for part in (os.major, os.minor) if part is not None)
    return f"{os.family} {version}" if version else os.family
