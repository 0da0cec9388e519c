"""The last requests that a fake provider has seen, and how each ended."""

import base64
from collections import deque
from dataclasses import dataclass
from typing import Literal

REQUESTS_KEPT = 1000
BODY_BYTES_KEPT = 256 * 1024 * 1024

Ending = Literal["complete", "client_aborted", "cut", "reset", "released"]
"""``complete``: all was sent; ``client_aborted``: the client went away first; ``cut`` and ``reset``: by
fault; ``released``: it hung until the fault was cleared."""


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and, as it goes on, what became of its response."""

    number: int
    time_s: float
    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes | None = None
    body_bytes: int = 0
    fault: dict[str, object] | None = None
    status: int | None = None
    usage: dict[str, int] | None = None
    bytes_sent: int = 0
    ended: Ending | None = None

    def as_json(self) -> dict[str, object]:
        """Return the exchange for ``GET /__requests``.

        The body is ``body`` where it is UTF-8 and ``body_base64`` where it is not; both are null where it was
        not read to its end or had to make room. Header bytes that are not UTF-8 become lone surrogates, so
        that ``value.encode("utf-8", "surrogateescape")`` gives the bytes back.
        """
        text, encoded = _text_or_base64(self.body)
        return {
            "number": self.number,
            "time": self.time_s,
            "method": self.method,
            "path": self.path,
            "headers": [[_header_text(name), _header_text(value)] for name, value in self.headers],
            "body": text,
            "body_base64": encoded,
            "body_bytes": self.body_bytes,
            "fault": self.fault,
            "response": {
                "status": self.status,
                "usage": self.usage,
                "bytes_sent": self.bytes_sent,
                "ended": self.ended,
                "client_aborted": self.ended == "client_aborted",
            },
        }


class Journal:
    """The last 1,000 exchanges, with at most 256 MB of bodies."""

    def __init__(self) -> None:
        self._exchanges: deque[Exchange] = deque()
        self._total = 0
        self._next_number = 1
        self._body_bytes = 0

    def open(
        self, *, time_s: float, method: str, path: str, headers: tuple[tuple[bytes, bytes], ...]
    ) -> Exchange:
        """Enter a request whose headers have come; the oldest exchange makes room."""
        exchange = Exchange(
            number=self._next_number, time_s=time_s, method=method, path=path, headers=headers
        )
        self._total += 1
        self._next_number += 1
        self._exchanges.append(exchange)
        if len(self._exchanges) > REQUESTS_KEPT:
            self._drop_body(self._exchanges.popleft())
        return exchange

    def keep_body(self, exchange: Exchange, body: bytes) -> None:
        """Keep the body of an exchange; older bodies make room."""
        exchange.body_bytes = len(body)
        if not self._exchanges or exchange.number < self._exchanges[0].number:
            return  # Cleared or pushed out while the body was still coming.
        exchange.body = body
        self._body_bytes += len(body)
        if self._body_bytes > BODY_BYTES_KEPT:
            for older in self._exchanges:
                self._drop_body(older)
                if self._body_bytes <= BODY_BYTES_KEPT:
                    break

    def clear(self) -> int:
        """Forget everything and return how many exchanges that were."""
        cleared = len(self._exchanges)
        self._exchanges.clear()
        self._body_bytes = self._total = 0
        return cleared

    def as_json(self, last: int = REQUESTS_KEPT) -> dict[str, object]:
        """Return the *last* exchanges, oldest first, and how many came since the journal was cleared."""
        chosen = list(self._exchanges)[-last:] if last else []
        return {"total": self._total, "requests": [exchange.as_json() for exchange in chosen]}

    def _drop_body(self, exchange: Exchange) -> None:
        if exchange.body is not None:
            self._body_bytes -= len(exchange.body)
            exchange.body = None


def _header_text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _text_or_base64(body: bytes | None) -> tuple[str | None, str | None]:
    if body is None:
        return None, None
    try:
        return body.decode("utf-8"), None
    except UnicodeDecodeError:
        return None, base64.b64encode(body).decode("ascii")
