"""Which requests are looked at, and what there is to know of each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aigateway import signals
from aigateway.chat import ChatRequest
from aigateway.formats import format_of_body, format_of_path, is_other_api, read_request
from aigateway.json_body import decode_json
from aigateway.refusals import InvalidRequestError
from aigateway.tokens import estimate_prompt_tokens

from .prompt import Prompt
from .scorers.signals import share_in

__all__ = ["Known", "can_be_read", "is_candidate", "known_from_signals", "read_body", "token_counts"]

_COUNT: Final = re.compile(r"[0-9]{1,10}")
_ESCAPE: Final = re.compile(rb"%([0-9A-F]{2})")
_NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the signals of an earlier plugin say of a request; None is what they do not say."""

    model: str | None = None
    prompt_tokens: int | None = None
    max_tokens: int | None = None
    prompt: Prompt
    domain: str = "general"

    @property
    def is_measured(self) -> bool:
        """Whether an earlier plugin has read the request; then what it does not say is not there."""
        return self.prompt_tokens is not None


def is_candidate(headers: Mapping[str, str], *, trust_signals: bool) -> bool:
    """Tell from its headers whether a request may be one to a model."""
    if headers.get(":method") != "POST":
        return False
    if trust_signals and signals.PROMPT_TOKENS in headers:
        return True
    path = headers.get(":path", "")
    known = format_of_path(path) is not None
    if not known and is_other_api(path):
        return False
    kind = headers.get("content-type", "json").lower()
    return "json" in kind or (known and not kind.startswith("multipart/"))


def known_from_signals(
    headers: Mapping[str, str], score_headers: tuple[str, ...], *, trust_signals: bool
) -> Known:
    """Read the signals, if they can be trusted, and the headers that scorers read."""
    given = headers if trust_signals else _NOTHING
    model = given.get(signals.REQUESTED_MODEL)
    return Known(
        model=None if model is None else _decoded(model),
        prompt_tokens=_count(given.get(signals.PROMPT_TOKENS)),
        max_tokens=_count(given.get(signals.MAX_TOKENS)),
        prompt=Prompt(
            complexity=share_in(given.get(signals.COMPLEXITY)),
            headers={name: headers[name] for name in score_headers if name in headers},
        ),
        domain=given.get(signals.DOMAIN, "general"),
    )


def can_be_read(headers: Mapping[str, str], max_body_bytes: int) -> bool:
    """Tell whether a body is neither compressed nor announced as too large."""
    length = headers.get("content-length", "")
    encoding = headers.get("content-encoding", "").strip().lower()
    return encoding in ("", "identity") and not (length.isdecimal() and int(length[:20]) > max_body_bytes)


def read_body(path: str, body: bytes) -> ChatRequest | None:
    """Read a request to a model; None if it is none that one could answer."""
    try:
        document = decode_json(body)
        if not isinstance(document, dict):
            return None
        format = format_of_path(path) or format_of_body(document)
        return None if format is None else read_request(document, format)
    except InvalidRequestError:
        return None


def token_counts(known: Known, request: ChatRequest | None, expected_output_tokens: int) -> tuple[int, int]:
    """Estimate the tokens of input and output."""
    prompt_tokens, max_tokens = known.prompt_tokens, known.max_tokens
    if request is not None:
        prompt_tokens = estimate_prompt_tokens(request) if prompt_tokens is None else prompt_tokens
        max_tokens = request.max_tokens if max_tokens is None else max_tokens
    output = expected_output_tokens if max_tokens is None else min(max_tokens, expected_output_tokens)
    return prompt_tokens or 1, output


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and _COUNT.fullmatch(text) else None


def _decoded(text: str) -> str:
    """Undo `signals.encode_text`."""
    if "%" not in text:
        return text
    return _ESCAPE.sub(lambda escape: bytes([int(escape[1], 16)]), text.encode()).decode("utf-8", "replace")
