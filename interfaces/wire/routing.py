"""Finds the route of a path; decodes parameters after routing, so that a %2F is no slash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import unquote

Target = TypeVar("Target")

_NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})


class Match(NamedTuple, Generic[Target]):
    """The target of a path, and the values of its parameters."""

    target: Target
    parameters: Mapping[str, str]


class RouteTable(Generic[Target]):
    """Targets by path, such as ``/customers/{customer}/events``; a final slash is ignored."""

    def __init__(self, targets: Iterable[tuple[str, Target]]) -> None:
        """Raises ValueError if two paths can match the same request and neither is exact."""
        self._exact: dict[bytes, Match[Target]] = {}
        self._patterns: dict[int, list[tuple[list[str], Target]]] = {}
        for path, target in targets:
            self._add(path, target)

    def _add(self, path: str, target: Target) -> None:
        segments = path.split("/")
        if "{" not in path:
            if path.encode() in self._exact:
                raise ValueError(f"two wire formats have the path {path}")
            for slash in ("", "/"):
                self._exact[(path + slash).encode()] = Match(target, _NO_PARAMETERS)
            return
        same_length = self._patterns.setdefault(len(segments), [])
        for others, _ in same_length:
            if all(
                a == b or _is_parameter(a) or _is_parameter(b)
                for a, b in zip(segments, others, strict=True)
            ):
                raise ValueError(f"{path} and {'/'.join(others)} are paths of the same requests")
        same_length.append((segments, target))

    def find(self, raw_path: bytes) -> Match[Target] | None:
        """Return the match of a path as received, percent-encoded and without query."""
        return self._exact.get(raw_path) or self._find_pattern(raw_path)

    def _find_pattern(self, raw_path: bytes) -> Match[Target] | None:
        segments = [_decode(segment) for segment in raw_path.split(b"/")]
        if len(segments) > 2 and not segments[-1]:
            del segments[-1]
        if b"%" in raw_path and not any("/" in segment for segment in segments):
            found = self._exact.get("/".join(segments).encode("utf-8", "surrogateescape"))
            if found is not None:
                return found
        for names, target in self._patterns.get(len(segments), ()):
            parameters = {}
            for name, segment in zip(names, segments, strict=True):
                if _is_parameter(name) and segment:
                    parameters[name[1:-1]] = segment
                elif name != segment:
                    break
            else:
                return Match(target, parameters)
        return None


def _is_parameter(segment: str) -> bool:
    return segment.startswith("{")


def _decode(segment: bytes) -> str:
    text = segment.decode("utf-8", "surrogateescape")
    return unquote(text, errors="surrogateescape") if "%" in text else text
