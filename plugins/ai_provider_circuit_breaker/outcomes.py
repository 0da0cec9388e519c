"""What an exchange with a provider says about the provider: success, failure, or nothing.

The law of this file:

- The caller's mistakes (400, 404, 413, 422 and every other 4xx that is not named here) say nothing about the
  provider, and neither does what the proxy or a plugin answered itself, or a caller who hung up in time.
- 5xx, 408, connections that fail or break, timeouts, and answers with status 200 that are cut, are not JSON,
  carry an error event, or take too long to begin are failures.
- 429 and a refused key are neither: they have a kind of their own.
"""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from .config import Limits

__all__ = [
    "DISCONNECTED",
    "UNREACHABLE",
    "VIA_UPSTREAM",
    "Answer",
    "Event",
    "Exchange",
    "Kind",
    "classify",
    "classify_abandoned",
    "classify_check",
    "is_caller_gone",
    "read_retry_after",
]


class Kind(StrEnum):
    """What an exchange counts as."""

    SUCCESS = "success"
    SLOW = "slow"
    """Good, and slower than a call should be."""
    FAILURE = "failure"
    RATE_LIMITED = "rate_limited"
    UNAUTHORIZED = "unauthorized"
    NOT_COUNTED = "not_counted"


@dataclass(frozen=True, slots=True)
class Event:
    """What the breaker is told."""

    kind: Kind
    cause: str = ""
    """Why, in one word for logs and metrics: `status_503`, `timeout`, `truncated` ..."""
    retry_after_s: float | None = None
    """How long the provider wants to be left alone, if it said so."""


class Answer(StrEnum):
    """What came of the body of an answer."""

    WHOLE = "whole"
    CUT = "cut"
    """It ended before its end: the connection broke, or the last event is missing."""
    MALFORMED = "malformed"
    """It is not JSON, or not made of events."""
    ERROR = "error_event"
    """It is a stream in which the provider reports an error of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """How one attempt at a provider went, as the proxy saw it."""

    status: int | None = None
    """Status of the provider's response; `None` if it gave none, whatever the proxy made of that."""
    code_details: str | None = None
    """Envoy's `response.code_details` at the end: who made the response, and how it ended."""
    flags: int = 0
    """Envoy's `response.flags`, looked at where there are no details."""
    answer: Answer = Answer.WHOLE
    is_streamed: bool = False
    retry_after_s: float | None = None
    first_byte_s: float | None = None
    """From the request's leaving to the first byte of the body; `None` if there was none."""
    duration_s: float = 0.0
    """From the request's leaving to the end."""
    limit_s: float | None = None
    """How long it may take to begin, 0 for ever; `None`: as long as a stream, for nobody knows what it is."""


VIA_UPSTREAM: Final = "via_upstream"

UNREACHABLE: Final = frozenset({"no_healthy_upstream", "dns_resolution_failure"})
"""Nobody to send anything to."""

_FAILURE_DETAILS: Final = {
    **dict.fromkeys(UNREACHABLE, "unreachable"),
    "response_timeout": "timeout",
    "upstream_per_try_timeout": "timeout",
    "upstream_per_try_idle_timeout": "timeout",
    "stream_idle_timeout": "timeout",
    "upstream_max_stream_duration_reached": "timeout",
    "max_duration_timeout": "timeout",
}
"""Envoy, source/common/stream_info/stream_info.h and envoy/stream_info/stream_info.h, ResponseCodeDetails."""

_RESET_BEFORE: Final = "upstream_reset_before_response_started{"
_RESET_AFTER: Final = "upstream_reset_after_response_started{"
_OUR_RESETS: Final = ("overflow", "overload_manager", "local_reset")
"""Reasons of resets that are the proxy's own doing."""

_CONNECT_FAILURES: Final = ("connection_failure", "remote_connection_failure", "connection_timeout")
DISCONNECTED: Final = (
    "downstream_remote_disconnect",
    "downstream_local_disconnect",
    "downstream_remote_reset",
)

# Bits of response.flags (Envoy, envoy/stream_info/stream_info.h, CoreResponseFlag).
_NO_HEALTHY_UPSTREAM: Final = 1 << 1
_UPSTREAM_REQUEST_TIMEOUT: Final = 1 << 2
_UPSTREAM_REMOTE_RESET: Final = 1 << 4
_UPSTREAM_CONNECTION_FAILURE: Final = 1 << 5
_UPSTREAM_CONNECTION_TERMINATION: Final = 1 << 6
_DOWNSTREAM_CONNECTION_TERMINATION: Final = 1 << 14
_UPSTREAM_PROTOCOL_ERROR: Final = 1 << 23
_FAILURE_FLAGS: Final = {
    _NO_HEALTHY_UPSTREAM: "unreachable",
    _UPSTREAM_CONNECTION_FAILURE: "connect_failure",
    _UPSTREAM_REQUEST_TIMEOUT: "timeout",
    _UPSTREAM_REMOTE_RESET: "reset",
    _UPSTREAM_CONNECTION_TERMINATION: "reset",
    _UPSTREAM_PROTOCOL_ERROR: "reset",
}

_SECONDS: Final = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*")
_DATE: Final = re.compile(
    r"\s*[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT\s*"
)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH: Final = date(1970, 1, 1).toordinal()

_UNAUTHORIZED: Final = frozenset({401, 402, 403})
_REQUEST_TIMEOUT: Final = 408
_TOO_MANY_REQUESTS: Final = 429
"""Anthropic's 529, "overloaded", is a failure like every other status from 500 on."""


def classify(exchange: Exchange, limits: Limits) -> Event:
    """Say what *exchange* counts as."""
    if exchange.status is not None and exchange.status >= 300:
        return _of_status(exchange.status, exchange.retry_after_s, limits)
    broken = _broken(exchange.code_details, exchange.flags)
    if broken:
        return Event(Kind.FAILURE, broken)
    if is_caller_gone(exchange):
        return classify_abandoned(exchange, limits, "caller_left")
    if exchange.status is None or exchange.code_details not in (VIA_UPSTREAM, None):
        return Event(Kind.NOT_COUNTED, "local_reply")
    if exchange.answer is not Answer.WHOLE:
        return Event(Kind.FAILURE, exchange.answer.value)
    if _began_too_late(exchange, limits):
        return Event(Kind.FAILURE, "slow_first_token")
    if limits.slow_call_s and exchange.duration_s > limits.slow_call_s:
        return Event(Kind.SLOW, "slow_call")
    return Event(Kind.SUCCESS)


def classify_check(status: int, retry_after_s: float | None, limits: Limits) -> Event:
    """Say what the answer to an active check counts as.

    Whatever is neither a failure nor a 429 shows that there is life. So does a refused key: checks may go
    without one.
    """
    event = _of_status(status, retry_after_s, limits)
    return event if event.kind in (Kind.FAILURE, Kind.RATE_LIMITED) else Event(Kind.SUCCESS)


def read_retry_after(text: str | None, now_s: float) -> float | None:
    """Read `Retry-After` (RFC 9110, 10.2.3), seconds or a date, as seconds from now; `None` for neither.

    Of the three forms of dates the two obsolete ones are not read: no API of this age sends them.
    """
    if not text:
        return None
    seconds = _SECONDS.fullmatch(text)
    if seconds is not None:
        return float(seconds[1])
    parts = _DATE.fullmatch(text)
    if parts is None:
        return None
    day, month, year, hour, minute, second = parts.groups()
    try:
        days = date(int(year), _MONTHS.index(month) + 1, int(day)).toordinal() - _EPOCH
    except ValueError:
        return None
    return max(0.0, days * 86_400 + int(hour) * 3_600 + int(minute) * 60 + int(second) - now_s)


def classify_abandoned(exchange: Exchange, limits: Limits, cause: str) -> Event:
    """Judge an exchange that was ended before its answer, as *cause* says; who kept it waiting has failed."""
    limit_s = limits.first_token_s if exchange.limit_s is None else exchange.limit_s
    if limit_s and exchange.first_byte_s is None and exchange.duration_s > limit_s:
        return Event(Kind.FAILURE, "slow_first_token")
    return Event(Kind.NOT_COUNTED, cause)


def _broken(details: str | None, flags: int) -> str:
    """Name what broke between the proxy and the provider, or nothing."""
    if details is None:
        return next((cause for flag, cause in _FAILURE_FLAGS.items() if flags & flag), "")
    cause = _FAILURE_DETAILS.get(details, "")
    if cause or not details.startswith((_RESET_BEFORE, _RESET_AFTER)):
        return cause
    reason = details.partition("{")[2]
    if reason.startswith(_OUR_RESETS):
        return ""
    if details.startswith(_RESET_AFTER):
        return Answer.CUT.value
    return "connect_failure" if reason.startswith(_CONNECT_FAILURES) else "reset"


def is_caller_gone(exchange: Exchange) -> bool:
    """Tell whether it was the caller who ended it."""
    if exchange.code_details in DISCONNECTED:
        return True
    return bool(exchange.flags & _DOWNSTREAM_CONNECTION_TERMINATION)


def _began_too_late(exchange: Exchange, limits: Limits) -> bool:
    """Tell whether a stream began too late; an answer in one piece begins when it is complete."""
    return bool(
        limits.first_token_s
        and exchange.is_streamed
        and exchange.first_byte_s is not None
        and exchange.first_byte_s > limits.first_token_s
    )


def _of_status(status: int, retry_after_s: float | None, limits: Limits) -> Event:
    if status >= 500 or status == _REQUEST_TIMEOUT:
        return Event(Kind.FAILURE, f"status_{status}", retry_after_s)
    if status == _TOO_MANY_REQUESTS:
        return Event(Kind.RATE_LIMITED, "status_429", retry_after_s)
    if status in _UNAUTHORIZED and limits.credentials == "gateway":
        return Event(Kind.UNAUTHORIZED, f"status_{status}")
    return Event(Kind.NOT_COUNTED, f"status_{status}")
