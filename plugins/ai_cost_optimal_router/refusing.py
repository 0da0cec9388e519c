"""What callers are told when no model may answer: what excluded all of them, and whose affair that is.

A model counts for the first constraint that excludes it. So what the last constraint excluded had met all
others before it, and that one is at fault: with more room, money or patience there would have been an answer.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from aigateway import signals
from aigateway.refusals import Refusal

from .choice import RefusedError

__all__ = ["no_model", "unknown_strategy"]

_LONGEST_WORD: Final = 60


class _Fault(NamedTuple):
    status: int
    code: str
    words: str
    """What is said of the models that it excludes."""
    param: str | None = None
    type: str = "invalid_request_error"


_FAULTS: Final[Mapping[str, _Fault]] = {
    "denied": _Fault(403, "model_not_allowed", "not allowed for this consumer", "model", "permission_error"),
    "region": _Fault(403, "model_not_allowed", "outside the permitted regions", "model", "permission_error"),
    "format": _Fault(400, "unsupported_api", "not reachable through this API"),
    "vision": _Fault(400, "unsupported_input", "unable to see images", "messages"),
    "audio": _Fault(400, "unsupported_input", "unable to hear audio", "messages"),
    "tools": _Fault(400, "unsupported_tools", "unable to use tools", "tools"),
    "json": _Fault(400, "unsupported_format", "unable to answer in JSON", "response_format"),
    "stream": _Fault(400, "unsupported_stream", "unable to stream", "stream"),
    "output": _Fault(400, "max_tokens_exceeded", "unable to give so many output tokens", "max_tokens"),
    "window": _Fault(
        400, "context_length_exceeded", "with a context window too small for this request", "messages"
    ),
    "breaker": _Fault(503, "provider_unavailable", "at providers that are failing", None, "server_error"),
    "quality": _Fault(503, "no_suitable_model", "below the quality floor", None, "server_error"),
    "domain": _Fault(503, "no_suitable_model", "not meant for this subject", None, "server_error"),
    "latency": _Fault(503, "no_suitable_model", "too slow to be waited for", None, "server_error"),
    "tier": _Fault(503, "no_suitable_model", "of another tier", None, "server_error"),
    "cost": _Fault(400, "max_cost_exceeded", "above the maximum cost of a request"),
    "budget": _Fault(429, "budget_exceeded", "beyond the remaining budget", None, "budget_exceeded"),
}


def no_model(excluded: Mapping[str, int], opens_s: float | None, now_s: float) -> RefusedError:
    """Refuse a request that no model may answer.

    *excluded* has the counts of excluded models in the order of the constraints, and *opens_s* is when the
    first provider may be tried again, if that is what is missing.
    """
    counts = [(_FAULTS[label.partition("<")[0]], count) for label, count in excluded.items()]
    fault = counts[-1][0]
    said = ", ".join(f"{count} {fault.words}" for fault, count in counts)
    refusal = Refusal(
        status=fault.status,
        message=f"No model can answer this request. Excluded: {said}",
        type=fault.type,
        param=fault.param,
        code=fault.code,
    )
    if fault.code != "provider_unavailable" or opens_s is None:
        return RefusedError(refusal)
    return RefusedError(refusal, max(1, math.ceil(opens_s - now_s)))


def unknown_strategy(name: str, allowed: Sequence[str]) -> RefusedError:
    """Refuse a request for a strategy that does not exist or may not be asked for."""
    shown = name if len(name) <= _LONGEST_WORD else f"{name[:_LONGEST_WORD]}..."
    expected = f"one of {', '.join(allowed)}" if allowed else "nothing, because none may be asked for"
    return RefusedError(
        Refusal(
            status=400,
            message=f"{signals.WANTED_STRATEGY}: expected {expected}; got {shown!r}",
            param=signals.WANTED_STRATEGY,
            code="unknown_strategy",
        )
    )
