"""A filter that does whatever a bad filter might do, as told by the header ``x-do``."""

import sys
from collections.abc import Callable

from proxywasm import CONTINUE, HttpFilter, Outcome, Request, Response, plugin

SECRET = "the prompt nobody may see"


class _Endless:
    def __getattr__(self, name: str) -> object:
        return getattr(self, name + "x")

    def __eq__(self, other: object) -> bool:
        return [self] == [other]

    __hash__ = None  # type: ignore[assignment] # an unhashable class is meant


def _recurse() -> None:
    _recurse()


def _recurse_through_c(_: object = None) -> list[object]:
    return list(map(_recurse_through_c, [1]))


def _sort_for_ever(_: object = None) -> list[int]:
    return sorted([1, 2], key=lambda item: len(_sort_for_ever(item)))


def _raise_with_prompt() -> None:
    raise ValueError(f"cannot use {SECRET!r}")


DEEDS: dict[str, Callable[[], object]] = {
    "raise": _raise_with_prompt,
    "divide": lambda: 1 // 0,
    "exit": lambda: sys.exit(3),
    "recurse": _recurse,
    "recurse-c": _recurse_through_c,
    "recurse-sort": _sort_for_ever,
    "recurse-getattr": lambda: _Endless().start,
    "recurse-eq": lambda: _Endless() == _Endless(),
    "memory-bytes": lambda: bytes(2_000_000_000),
    "memory-list": lambda: [0] * 1_000_000_000,
    "import": lambda: __import__("xmlrpc.client"),
    "open": lambda: open("/etc/passwd").read(),  # noqa: SIM115 - it never opens
}


class _Hostile(HttpFilter[dict[str, object]]):
    def __init__(self) -> None:
        self._later: str | None = None

    def on_request_headers(self, request: Request) -> Outcome:
        self._later = request.headers.get("x-do-later")
        deed = request.headers.get("x-do")
        if deed:
            DEEDS[deed]()
        return CONTINUE

    def on_response_headers(self, response: Response) -> Outcome:
        if self._later:
            DEEDS[self._later]()
        return CONTINUE


@plugin("hostile-open", on_error="open")
class HostileOpen(_Hostile):
    """Streams go on without it."""


@plugin("hostile-closed", on_error="closed")
class HostileClosed(_Hostile):
    """Streams are refused."""
