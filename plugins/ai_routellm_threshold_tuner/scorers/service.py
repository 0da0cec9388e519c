"""Scores from a service outside the gateway, such as RouteLLM's own routers behind a small server."""

import json
from dataclasses import dataclass

from aigateway.json_body import decode_json
from aigateway.refusals import InvalidRequestError

from .scorer import Scorer

__all__ = ["ScoringService"]

_LARGEST_ANSWER = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringService:
    """Where prompts are scored, how long that may take, and who scores them otherwise.

    The service gets `POST path` with `{"prompt": "..."}`, and answers 200 with an object that has the score,
    from 0 to 1, under *field*.
    """

    cluster: str
    """The cluster of the proxy that reaches it."""
    fallback: str
    """The name of the scorer that stands in for it."""
    local: Scorer
    """That scorer."""
    path: str = "/score"
    authority: str = ""
    """The host name to ask for; the cluster's name if empty."""
    timeout_s: float = 0.1
    field: str = "score"
    pause_s: float = 1.0
    """How long nobody asks again after a failure."""

    def request(self, text: str) -> bytes:
        """Write the body of a request."""
        return json.dumps({"prompt": text}, ensure_ascii=False).encode("utf-8", "replace")

    def read_answer(self, status: int, body: bytes) -> float | None:
        """Read a score out of an answer; None if there is none in it."""
        if status != 200 or len(body) > _LARGEST_ANSWER:
            return None
        try:
            answer = decode_json(body)
        except InvalidRequestError:
            return None
        value = answer.get(self.field) if isinstance(answer, dict) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            return None
        return float(value)
