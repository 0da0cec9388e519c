"""What there is to know of each request that is looked at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aigateway import signals
from aigateway.chat import ChatRequest
from aigateway.intake import Asked, asked_in, asked_in_signals, read_body
from aigateway.refusals import InvalidRequestError

from .prompt import Prompt
from .scorers.signals import share_in

__all__ = ["Known", "known_from_signals", "read_chat", "token_counts"]

_NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the signals of an earlier plugin say of a request."""

    asked: Asked | None = None
    """What it asks for; None if no earlier plugin has read it."""
    prompt: Prompt
    domain: str = "general"

    @property
    def is_measured(self) -> bool:
        """Whether an earlier plugin has read the request; then what it does not say is not there."""
        return self.asked is not None

    @property
    def model(self) -> str | None:
        """The model that the request names, as far as an earlier plugin says."""
        return None if self.asked is None else self.asked.requested_model


def known_from_signals(
    headers: Mapping[str, str], score_headers: tuple[str, ...], *, trust_signals: bool
) -> Known:
    """Read the signals, if they can be trusted, and the headers that scorers read."""
    given = headers if trust_signals else _NOTHING
    return Known(
        asked=asked_in_signals(given),
        prompt=Prompt(
            complexity=share_in(given.get(signals.COMPLEXITY)),
            headers={name: headers[name] for name in score_headers if name in headers},
        ),
        domain=given.get(signals.DOMAIN, "general"),
    )


def read_chat(path: str, body: bytes) -> ChatRequest | None:
    """Read a request to a model; None if it is none that one could answer."""
    try:
        return read_body(path, body)
    except InvalidRequestError:  # Whoever is asked says so better.
        return None


def token_counts(known: Known, request: ChatRequest | None, expected_output_tokens: int) -> tuple[int, int]:
    """Estimate the tokens of input and output."""
    asked = known.asked
    if asked is None and request is not None:
        asked = asked_in(request)
    if asked is None:
        return 1, expected_output_tokens
    output = expected_output_tokens
    if asked.max_tokens is not None:
        output = min(asked.max_tokens, expected_output_tokens)
    return asked.prompt_tokens or 1, output
