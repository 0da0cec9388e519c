"""How a fake provider misbehaves on demand.

A fault is set with ``POST /__faults`` and stays until it is replaced, cleared with ``{}``, or has hit
``count`` requests. Keys combine: ``{"latency_ms": 500, "status": 503, "count": 2}`` answers the next two
requests with 503, half a second late.
"""

import asyncio
import difflib
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, fields

_HIGHEST_INTEGER = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong, and for which requests. Every field that is None or False is not there."""

    status: int | None = None
    """Answer with this status, 400 to 599, and an error object."""
    retry_after_s: int | None = None
    """Send ``Retry-After`` with this many seconds; needs *status*."""
    latency_ms: int | None = None
    """Wait before the response headers."""
    first_token_ms: int | None = None
    """Wait between the headers of a streamed answer and its first event."""
    token_interval_ms: int | None = None
    """Wait before each further event of a streamed answer."""
    answer_tokens: int | None = None
    """Make answers this many tokens long. Not a fault as such, but set and cleared like one."""
    cut_after_bytes: int | None = None
    """Abort the TCP connection after this many bytes of the response's body."""
    oversized_bytes: int | None = None
    """Make the text of an answer at least this many bytes longer; all of it in one event when streamed."""
    malformed: bool = False
    """Answer with status 200 and a body, or stream events, that are not JSON."""
    hang: bool = False
    """Never answer; the connection is closed when the fault is cleared."""
    reset: bool = False
    """Reset the TCP connection as soon as the request has been read."""
    rate: float | None = None
    """Hit this fraction of the requests, above 0 and up to 1; all when None."""
    seed: int | None = None
    """Seed of the dice for *rate*; the same seed hits the same requests."""
    count: int | None = None
    """Hit this many requests, then be gone."""


class FaultError(ValueError):
    """A fault that cannot be set; *problems* says everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


_KEYS = tuple(field.name for field in fields(Fault))
_SWITCHES = ("malformed", "hang", "reset")
_BOUNDS: dict[str, tuple[int, int]] = {
    "status": (400, 599),
    "retry_after_s": (0, 86_400),
    "latency_ms": (0, 3_600_000),
    "first_token_ms": (0, 3_600_000),
    "token_interval_ms": (0, 3_600_000),
    "answer_tokens": (1, 1_000_000),
    "cut_after_bytes": (0, _HIGHEST_INTEGER),
    "oversized_bytes": (1, 1 << 30),
    "seed": (-_HIGHEST_INTEGER, _HIGHEST_INTEGER),
    "count": (1, _HIGHEST_INTEGER),
}


def parse_fault(document: object) -> Fault | None:
    """Read the JSON value of ``POST /__faults``; None stands for ``{}``, which clears.

    Raises FaultError when a key is unknown, or a value is not what the key expects.
    """
    if not isinstance(document, Mapping):
        raise FaultError([f"expected an object, got {document!r:.60}"])
    problems = [problem for key, value in document.items() if (problem := _problem(key, value))]
    if "retry_after_s" in document and "status" not in document:
        problems.append("retry_after_s: needs a status")
    if "seed" in document and "rate" not in document:
        problems.append("seed: needs a rate")
    if problems:
        raise FaultError(problems)
    return Fault(**document) if document else None


def fault_as_json(fault: Fault) -> dict[str, object]:
    """Return the keys that were set, as they would be posted."""
    values = ((key, getattr(fault, key)) for key in _KEYS)
    return {key: value for key, value in values if value is not None and value is not False}


def _problem(key: object, value: object) -> str | None:
    """Say what is wrong with one key and its value, if anything is."""
    if key in _SWITCHES:
        return None if isinstance(value, bool) else f"{key}: expected true or false, got {value!r:.60}"
    if key == "rate":
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if is_number and 0 < float(str(value)) <= 1:
            return None
        return f"rate: expected a number above 0 and up to 1, got {value!r:.60}"
    if isinstance(key, str) and key in _BOUNDS:
        low, high = _BOUNDS[key]
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return None
        return f"{key}: expected an integer from {low} to {high}, got {value!r:.60}"
    near = difflib.get_close_matches(str(key), _KEYS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known keys are {', '.join(_KEYS)}"
    return f"{str(key)[:60]}: unknown key; {hint}"


class FaultBox:
    """The fault in force at one provider, and how many requests it has hit."""

    def __init__(self) -> None:
        self._fault: Fault | None = None
        self._dice = random.Random()
        self._applied = 0
        self._cleared = asyncio.Event()

    def set(self, fault: Fault | None) -> None:
        """Put *fault* in force, or none, and let go of whatever hangs in the one before."""
        self._cleared.set()
        self._cleared = asyncio.Event()
        self._fault = fault
        self._applied = 0
        self._dice = random.Random(fault.seed if fault else None)

    def draw(self) -> tuple[Fault, asyncio.Event] | None:
        """Return the fault that hits the next request, with the event of its being cleared."""
        fault = self._fault
        if fault is None or (fault.rate is not None and self._dice.random() >= fault.rate):
            return None
        self._applied += 1
        if fault.count is not None and self._applied >= fault.count:
            self._fault = None
        return fault, self._cleared

    def as_json(self) -> dict[str, object]:
        """Say what is in force: the fault, how many requests it may still hit, how many it has hit."""
        fault = self._fault
        if fault is None:
            return {"fault": None, "remaining": None, "applied": self._applied}
        remaining = None if fault.count is None else fault.count - self._applied
        return {"fault": fault_as_json(fault), "remaining": remaining, "applied": self._applied}
