"""The decision: complexity, domain and latency of a request.

Complexity is a logistic function of seven features, with the coefficients of the nexus router (released under
Apache-2.0); `Weights` has them. No feature counts beyond its cap.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from aigateway import signals
from aigateway.chat import ChatRequest, Role, Turn
from aigateway.tokens import estimate_prompt_tokens

from .config import Config
from .features import Features, measure

__all__ = ["Domain", "Latency", "Verdict", "classify", "classify_text", "headers"]


_NEGLIGIBLE_SHARE = 0.01
"""Turns that would add a smaller share of their features are not looked at: a long chat costs no more."""


class Domain(StrEnum):
    """What a request is about; of equals the one listed first wins, because mistakes there cost more."""

    MEDICAL = "medical"
    LEGAL = "legal"
    CODE = "code"
    GENERAL = "general"


class Latency(StrEnum):
    """How soon an answer is expected."""

    REALTIME = "realtime"
    BATCH = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the classifier makes of a request."""

    complexity: float
    domain: Domain
    latency: Latency
    features: Features


def classify(request: ChatRequest, config: Config) -> Verdict:
    """Classify a request by the turns that the configured scope selects."""
    return _judge(_features_in_scope(request.turns, config), config)


def classify_text(text: str, config: Config) -> Verdict:
    """Classify a prompt that stands alone."""
    return _judge(measure(text, config.lexicon, config.chance_words), config)


def headers(request: ChatRequest, verdict: Verdict) -> dict[str, str]:
    """Write a verdict, and what the request itself says, as signals."""
    values = {
        signals.COMPLEXITY: signals.encode_share(verdict.complexity),
        signals.DOMAIN: str(verdict.domain),
        signals.LATENCY: str(verdict.latency),
        signals.PROMPT_TOKENS: str(estimate_prompt_tokens(request)),
    }
    if request.max_tokens is not None:
        values[signals.MAX_TOKENS] = str(request.max_tokens)
    if request.model:
        values[signals.REQUESTED_MODEL] = signals.encode_text(request.model)
    if request.needs:
        values[signals.NEEDS] = signals.encode_needs(request.needs)
    return values


def _judge(features: Features, config: Config) -> Verdict:
    complexity = _complexity(features, config)
    batch = features.words > config.batch_words or complexity > config.batch_complexity
    return Verdict(
        complexity=complexity,
        domain=_domain(features, config.domain_hits),
        latency=Latency.BATCH if batch else Latency.REALTIME,
        features=features,
    )


def _complexity(features: Features, config: Config) -> float:
    weights, caps = config.weights, config.caps
    log_odds = (
        weights.bias
        + weights.words * min(features.words, caps.words)
        + weights.questions * min(features.questions, caps.questions)
        + weights.code * min(features.code, caps.code)
        + weights.medical * min(features.medical, caps.medical)
        + weights.legal * min(features.legal, caps.legal)
        + weights.instruction * min(features.instruction, caps.instruction)
    )
    # exp() overflows near 710; configured weights may go there, and the result is 0 or 1 long before.
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, log_odds))))


def _domain(features: Features, needed: float) -> Domain:
    hits, domain = features.medical, Domain.MEDICAL
    if features.legal > hits:
        hits, domain = features.legal, Domain.LEGAL
    if features.code > hits:
        hits, domain = features.code, Domain.CODE
    return domain if hits >= needed else Domain.GENERAL


def _features_in_scope(turns: Sequence[Turn], config: Config) -> Features:
    if config.prompt_scope == "conversation":
        return measure("\n".join(turn.text for turn in turns), config.lexicon, config.chance_words)
    said = [turn.text for turn in turns if turn.role is Role.USER]
    if config.prompt_scope == "all_user":
        return measure("\n".join(said), config.lexicon, config.chance_words)
    return _last_in_context(reversed(said), config)


def _last_in_context(newest_first: Iterable[str], config: Config) -> Features:
    """Measure the last turn, and let it inherit from those before if it is too short to stand for itself.

    "And in Rust?" is as hard as what it follows. A turn of *n* words inherits `share * (1 - n / words)` of
    what the turn before it is worth, which in turn may have inherited. The share falls continuously, so that
    no single word makes a request easy.
    """
    words = config.follow_up.words
    total: Features | None = None
    weight = 1.0
    for text in newest_first:
        features = measure(text, config.lexicon, config.chance_words)
        total = features if total is None else total.plus(features, weight)
        if features.words >= words:
            break
        weight *= config.follow_up.share * (1 - features.words / words)
        if weight < _NEGLIGIBLE_SHARE:
            break
    return total or Features()
