"""How well a model did: from what came of a request, and from what others say about its answer.

A reward is a number from 0 to 1. Without anybody's word an answer in time is worth 1 and one that is late
less, by how much it was late; a model that fails is worth 0. What was the caller's fault says nothing.

Who can judge answers says so in a header of the response (`feedback.header`), when something on the way from
the provider judges, or to an endpoint of the gateway (`feedback.path`):

    POST /v1/feedback   {"model": "gpt-4.1-mini", "domain": "code", "score": 0.8}
"""

import re
from dataclasses import dataclass

from aigateway.catalog import DOMAINS, Catalog, Model
from aigateway.config import Reader
from aigateway.json_body import decode_json
from aigateway.refusals import InvalidRequestError, Refusal

__all__ = [
    "Feedback",
    "Judgement",
    "is_feedback",
    "judge_outcome",
    "may_judge",
    "read_feedback",
    "read_judgement",
    "read_score",
]

_SCORE = re.compile(r"0(?:\.[0-9]{1,9})?|1(?:\.0{1,9})?")

_CREDENTIALS = frozenset({401, 402, 403})
_BUSY = frozenset({408, 429})

_UPSTREAM_FAILURES = ("upstream_", "no_healthy_upstream", "cluster_not_found")
"""How Envoy's response code details begin when it has to answer for an upstream that did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """Where judgements of answers come from."""

    target_ms: float = 10_000.0
    """Until the first byte of an answer; one that takes twice as long is worth half. 0: time is no matter."""
    header: str = ""
    """The response header with a score from 0 to 1; none unless named."""
    path: str = ""
    """The path that takes judgements by POST; none unless named."""
    consumers: tuple[str, ...] = ()
    """Who may post there; nobody unless named: who judges steers the traffic of all."""
    weight: float = 5.0
    """For how many outcomes a judgement stands: it says more than that there was an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What somebody says about an answer."""

    model: Model
    domain: str
    score: float


def read_feedback(reader: Reader) -> Feedback:
    """Read the table `feedback`."""
    table, default = reader.table("feedback"), Feedback()
    feedback = Feedback(
        target_ms=table.number("target_ms", default.target_ms, at_least=0),
        header=table.string("header", default.header).lower(),
        path=table.string("path", default.path),
        consumers=table.strings("consumers", default.consumers),
        weight=table.number("weight", default.weight, above=0, at_most=1_000),
    )
    if feedback.header and not re.fullmatch(r"[a-z0-9-]+", feedback.header):
        table.refuse("header", "the name of a header", feedback.header)
    if feedback.path and not feedback.path.startswith("/"):
        table.refuse("path", "a path that begins with '/'", feedback.path)
    if feedback.path and not feedback.consumers:
        table.refuse("consumers", "at least one who may post to feedback.path", [])
    return feedback


def judge_outcome(status: int, code_details: str | None, latency_ms: float, rules: Feedback) -> float | None:
    """Return the reward for a response, or None if it says nothing about the model.

    *code_details* say whose response it is: `via_upstream`, or why Envoy answered itself.
    """
    if code_details is not None and code_details != "via_upstream":
        return 0.0 if code_details.startswith(_UPSTREAM_FAILURES) else None
    if status >= 500 or status in _CREDENTIALS or status in _BUSY:
        return 0.0
    if status >= 300:
        return None
    if not rules.target_ms or latency_ms <= rules.target_ms:
        return 1.0
    return rules.target_ms / latency_ms


def read_score(text: str | None) -> float | None:
    """Read a score from a header; None if there is none, or it is no number from 0 to 1."""
    if text is None or not _SCORE.fullmatch(text.strip()):
        return None
    return float(text)


def is_feedback(method: str, path: str, rules: Feedback) -> bool:
    """Tell whether a request brings a judgement."""
    return bool(rules.path) and method == "POST" and path.partition("?")[0] == rules.path


def may_judge(consumer: str | None, rules: Feedback) -> Refusal | None:
    """Refuse judgements of those who may not make any."""
    if consumer in rules.consumers:
        return None
    message = "Judging answers is not allowed to this consumer"
    return Refusal(status=403, message=message, type="permission_error", code="feedback_not_allowed")


def read_judgement(body: bytes, catalog: Catalog) -> Judgement:
    """Read the body of a request that brings a judgement, or raise `InvalidRequestError`."""
    document = decode_json(body)
    if not isinstance(document, dict):
        raise InvalidRequestError.not_an_object(document)
    name, domain, score = document.get("model"), document.get("domain", "general"), document.get("score")
    model = catalog.find(name) if isinstance(name, str) else None
    if model is None:
        raise InvalidRequestError.at("model", "a model of the catalog", "another one or none")
    if domain not in DOMAINS:
        raise InvalidRequestError.at("domain", f"one of {', '.join(DOMAINS)}", "something else")
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise InvalidRequestError.at("score", "a number from 0 to 1", "something else")
    return Judgement(model=model, domain=domain, score=float(score))
