"""Which requests are routed, and what there is to know of each.

What an earlier plugin has measured comes as signals. Where there are none the router measures for itself:
what is asked of the model, and how long the prompt is, but not what it is about.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from aigateway import signals
from aigateway.catalog import DOMAINS
from aigateway.chat import Format, Need
from aigateway.formats import format_of_body, format_of_path, is_other_api, read_request
from aigateway.json_body import decode_json
from aigateway.money import parse_usd
from aigateway.refusals import InvalidRequestError, Refusal
from aigateway.tokens import estimate_prompt_tokens

from .config import Config
from .situation import Situation

__all__ = ["read_situation", "unreadable", "wants_body"]

STRATEGY: Final = "x-router-strategy"
"""The strategy that the client wants, one of the controls it may send."""
TIER: Final = "x-ai-tier"
"""What the tuner found to be enough."""
BUDGET_REMAINING: Final = "x-ai-budget-remaining"
"""What the caller can still spend in USD, as an earlier plugin says."""

_NOTHING: Final[Mapping[str, str]] = {}

_COUNT = re.compile(r"[0-9]{1,10}")
_SHARE = re.compile(r"[01](?:\.[0-9]{1,9})?")
_ESCAPE = re.compile(rb"%([0-9A-F]{2})")
_NEEDS: Final = {need.value: need for need in Need}


def wants_body(headers: Mapping[str, str], config: Config) -> bool:
    """Tell from its headers whether a request is one to a model, so that its body is worth waiting for."""
    if headers.get(":method") != "POST":
        return False
    if config.trust_signals and signals.PROMPT_TOKENS in headers:
        return True
    path = headers.get(":path", "")
    known = format_of_path(path) is not None
    if not known and is_other_api(path):
        return False
    kind = headers.get("content-type", "json").lower()
    return "json" in kind or (known and not kind.startswith("multipart/"))


def unreadable(headers: Mapping[str, str], length: int, config: Config) -> Refusal | None:
    """Say why a body cannot be read, because it is compressed or has too many bytes; None if it can."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        message = "Request bodies must not be compressed: content-encoding must be absent or 'identity'"
        return Refusal(status=415, message=message, param="content-encoding", code="unsupported_encoding")
    if length > config.max_body_bytes:
        message = f"The request body is larger than {config.max_body_bytes} bytes"
        return Refusal(status=413, message=message, code="request_too_large")
    return None


def read_situation(headers: Mapping[str, str], body: bytes, now_s: float, config: Config) -> Situation | None:
    """Say what there is to know of a request; None if it turns out to be none to a model.

    A body that no model could answer raises `InvalidRequestError`.
    """
    given = headers if config.trust_signals else _NOTHING
    format = format_of_path(headers.get(":path", ""))
    prompt_tokens = _count(given.get(signals.PROMPT_TOKENS))
    if prompt_tokens is None:
        asked = _measure(format, body)
        if asked is None:
            return None
    else:
        requested = given.get(signals.REQUESTED_MODEL)
        asked = _Asked(
            format=format or format_of_body(_object(body)),
            prompt_tokens=prompt_tokens,
            max_tokens=_count(given.get(signals.MAX_TOKENS)),
            needs=_needs_of(given.get(signals.NEEDS, "")),
            requested_model=None if requested is None else _decoded(requested),
        )
    domain = given.get(signals.DOMAIN)
    complexity = given.get(signals.COMPLEXITY, "")
    return Situation(
        prompt_tokens=asked.prompt_tokens,
        max_tokens=asked.max_tokens,
        needs=asked.needs,
        format=asked.format,
        domain=domain if domain in DOMAINS else "general",
        latency="batch" if given.get(signals.LATENCY) == "batch" else "realtime",
        complexity=min(1.0, float(complexity)) if _SHARE.fullmatch(complexity) else 0.5,
        tier=given.get(TIER),
        requested_model=asked.requested_model,
        strategy=headers.get(STRATEGY),
        consumer=headers.get(config.consumer_header),
        request_id=headers.get("x-request-id", ""),
        budget_nano_usd=_budget(given.get(BUDGET_REMAINING)),
        now_s=now_s,
    )


class _Asked(NamedTuple):
    """What the body of a request says."""

    format: Format | None
    prompt_tokens: int
    max_tokens: int | None
    needs: frozenset[Need]
    requested_model: str | None


def _measure(format: Format | None, body: bytes) -> _Asked | None:
    """Read the body, for want of signals."""
    try:
        document = _object(body)
        found = format or format_of_body(document)
        if found is None:
            return None
        request = read_request(document, found)
    except InvalidRequestError:
        if format is None:  # On a path that says nothing it need not be a request to a model at all.
            return None
        raise
    return _Asked(
        format=found,
        prompt_tokens=max(1, estimate_prompt_tokens(request)),
        max_tokens=request.max_tokens,
        needs=request.needs,
        requested_model=request.model,
    )


def _object(body: bytes) -> Mapping[str, object]:
    document = decode_json(body)
    if not isinstance(document, dict):
        raise InvalidRequestError.not_an_object(document)
    return document


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and _COUNT.fullmatch(text) else None


@lru_cache(maxsize=256)
def _needs_of(text: str) -> frozenset[Need]:
    return frozenset(_NEEDS[word] for word in text.split(",") if word in _NEEDS)


def _budget(text: str | None) -> int | None:
    """Read what can still be spent; nobody's word is None, and what is no amount is nothing."""
    if text is None:
        return None
    try:
        return max(0, parse_usd(text.strip()))
    except ValueError:
        return 0


def _decoded(text: str) -> str:
    """Undo `signals.encode_text`."""
    if "%" not in text:
        return text
    return _ESCAPE.sub(lambda escape: bytes([int(escape[1], 16)]), text.encode()).decode("utf-8", "replace")
