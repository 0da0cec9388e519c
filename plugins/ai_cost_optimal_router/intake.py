"""Which requests are routed, and what there is to know of each.

What an earlier plugin has measured comes as signals. Where there are none the router measures for itself:
what is asked of the model, and how long the prompt is, but not what it is about.
"""

import re
from collections.abc import Mapping
from typing import Final

from aigateway import signals
from aigateway.catalog import DOMAINS
from aigateway.formats import format_of_body, format_of_path
from aigateway.intake import asked_in, asked_in_signals, decode_object, read_body
from aigateway.money import parse_usd

from .config import Config
from .situation import Situation

__all__ = ["read_situation"]

_NOTHING: Final[Mapping[str, str]] = {}
_SHARE: Final = re.compile(r"[01](?:\.[0-9]{1,9})?")


def read_situation(headers: Mapping[str, str], body: bytes, now_s: float, config: Config) -> Situation | None:
    """Say what there is to know of a request; None if it turns out to be none to a model.

    A body that no model could answer raises `InvalidRequestError`.
    """
    given = headers if config.trust_signals else _NOTHING
    path = headers.get(":path", "")
    asked = asked_in_signals(given, format_of_path(path))
    if asked is None:
        request = read_body(path, body)
        if request is None:
            return None
        asked = asked_in(request)
    format = asked.format
    if format is None:  # The path does not say it, and no signal does.
        format = format_of_body(decode_object(body))
    domain = given.get(signals.DOMAIN)
    complexity = given.get(signals.COMPLEXITY, "")
    return Situation(
        prompt_tokens=asked.prompt_tokens,
        max_tokens=asked.max_tokens,
        needs=asked.needs,
        format=format,
        domain=domain if domain in DOMAINS else "general",
        latency="batch" if given.get(signals.LATENCY) == "batch" else "realtime",
        complexity=min(1.0, float(complexity)) if _SHARE.fullmatch(complexity) else 0.5,
        tier=given.get(signals.TIER),
        requested_model=asked.requested_model,
        strategy=headers.get(signals.WANTED_STRATEGY),
        consumer=headers.get(config.consumer_header),
        request_id=headers.get("x-request-id", ""),
        budget_nano_usd=_budget(given.get(signals.BUDGET_REMAINING)),
        now_s=now_s,
    )


def _budget(text: str | None) -> int | None:
    """Read what can still be spent; nobody's word is None, and what is no amount is nothing."""
    if text is None:
        return None
    try:
        return max(0, parse_usd(text.strip()))
    except ValueError:
        return 0
