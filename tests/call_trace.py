"""Counts returns in a trace of calls: a module that is entered again from another package."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

_ROOT = Path(__file__).parents[1]
_FOLDERS = tuple(f"{_ROOT / folder}/" for folder in ("domain", "projections", "application"))


def returns(call: Callable[[], Any]) -> list[tuple[str, str]]:
    """Returns the calls (from, to) by which a trace comes back to a package that it had left.

    Such a call crosses packages, and another module called the same module before.  Each pair of modules
    counts once, however often it occurs; calls inside a package do not leave it.
    """
    callers: dict[str, list[str]] = defaultdict(list)
    stack: list[str] = []

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if not frame.f_code.co_filename.startswith(_FOLDERS):
            return
        module = str(frame.f_globals["__name__"])
        if event == "call":
            if stack and stack[-1] != module and stack[-1] not in callers[module]:
                callers[module].append(stack[-1])
            stack.append(module)
        elif event == "return" and stack:
            stack.pop()

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return [
        (caller, module)
        for module, names in callers.items()
        for caller in names[1:]
        if _package(caller) != _package(module)
    ]


def _package(module: str) -> str:
    return module.rpartition(".")[0]
