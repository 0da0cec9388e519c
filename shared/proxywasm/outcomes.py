"""Outcomes: what a callback of a filter returns.

`CONTINUE` passes on what the callback was about, `PAUSE` holds it, and a `Reply` answers the caller instead.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .headers import HeaderSource

__all__ = ["CONTINUE", "PAUSE", "Continue", "Outcome", "Pause", "Reply"]


class Continue:
    """The type of `CONTINUE`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "CONTINUE"


class Pause:
    """The type of `PAUSE`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "PAUSE"


CONTINUE: Final = Continue()
"""Pass on what this callback was about, with all that was held before it."""

PAUSE: Final = Pause()
"""Hold what this callback was about until a later one returns `CONTINUE`, or the filter resumes the stream.

Paused headers do not stop the callbacks for the body, and a paused body is buffered, up to the limit of the
proxy. An `async` callback that awaits needs no `PAUSE`.
"""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to the caller in the upstream's place.

    The host adds `content-length`. *details* is what access logs show as response code details, and what
    `response.code_details` is for other filters; spaces become underscores. In the request phases the reply
    passes through the response callbacks of all filters, this one included. From `on_response_headers` it
    goes straight to the caller. Once response headers have left no reply is possible: the stream is reset.
    """

    status: int
    body: bytes = b""
    headers: HeaderSource = field(default=(), kw_only=True)
    details: str = field(default="", kw_only=True)

    @classmethod
    def json(cls, status: int, value: object, *, headers: HeaderSource = (), details: str = "") -> "Reply":
        """Reply with *value* as JSON."""
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "backslashreplace"
        )
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        return cls(status, body, headers=[("content-type", "application/json"), *pairs], details=details)

    @classmethod
    def error(
        cls,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: HeaderSource = (),
        details: str = "",
    ) -> "Reply":
        """Reply with the error object of the OpenAI API, which every client library of it can read."""
        error = {"message": message, "type": type, "param": param, "code": code}
        return cls.json(status, {"error": error}, headers=headers, details=details or code or "")


Outcome = Continue | Pause | Reply
"""What a callback returns."""
