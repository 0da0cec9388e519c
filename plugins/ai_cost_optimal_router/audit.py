"""The audit record: what a decision was made from, in JSON values, and making it again from that alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from aigateway.money import usd

from .constraints import Excluded
from .market import Market
from .shortlist import pick
from .strategies import STRATEGIES, Offer, Order, Scene

__all__ = ["Decision", "Ranking", "Replayed", "record_of", "replay"]

_VERSION: Final = 1
_CANDIDATES: Final = 8
"""Models of a stage that are recorded: those that were taken, and the next best."""


class Ranking(NamedTuple):
    """A stage that was looked at."""

    order: str
    models: int
    """The set that was ranked."""
    ranked: Sequence[int]


@dataclass(frozen=True, slots=True)
class Replayed:
    """The outcome of deciding again."""

    model: str
    """As `provider/name`."""
    fallbacks: tuple[str, ...]
    estimated_cost_nano_usd: int
    scores: tuple[Mapping[str, float], ...]
    """By stage, the scores of the recorded models; lower is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Everything that led to a choice."""

    scene: Scene
    orders: Mapping[str, Order]
    strategy: str
    case: str
    rankings: Sequence[Ranking]
    picked: Sequence[int]
    """The model chosen, then its fallbacks."""
    excluded: Excluded
    given_up: Excluded
    """What those constraints would have excluded that were given up."""
    cost_nano_usd: int


def record_of(decision: Decision) -> Mapping[str, object]:
    """Write the record of a decision."""
    scene, picked = decision.scene, decision.picked
    situation, market = scene.situation, scene.market
    return {
        "version": _VERSION,
        "strategy": decision.strategy,
        "case": decision.case,
        "model": market.keys[picked[0]],
        "fallbacks": [market.keys[number] for number in picked[1:]],
        "estimated_cost_usd": usd(decision.cost_nano_usd),
        "request": {
            "id": situation.request_id,
            "requested_model": situation.requested_model,
            "prompt_tokens": situation.prompt_tokens,
            "max_tokens": situation.max_tokens,
            "domain": situation.domain,
            "latency": situation.latency,
            "complexity": situation.complexity,
            "tier": situation.tier,
            "needs": sorted(map(str, situation.needs)),
            "format": None if situation.format is None else str(situation.format),
            "time_s": situation.now_s,
        },
        "bucket": scene.notes.get("bucket"),
        "feasible": scene.feasible.bit_count(),
        "excluded": decision.excluded.counts,
        "given_up": decision.given_up.counts,
        "stages": [
            _stage(ranking, scene, decision.orders[ranking.order], set(picked))
            for ranking in decision.rankings
        ],
    }


def replay(record: Mapping[str, object]) -> Replayed:
    """Decide again by a record, from the numbers of its candidates."""
    request = cast(Mapping[str, int | None], record["request"])
    names: list[str] = []
    costs: list[int] = []
    ranked: list[int] = []
    scores: list[Mapping[str, float]] = []
    for stage in cast(Sequence[Mapping[str, object]], record["stages"]):
        candidates = cast(Sequence[Mapping[str, object]], stage["candidates"])
        offers = [_offer(candidate, request) for candidate in candidates]
        kind = STRATEGIES[cast(str, stage["order"])].ranks_by
        if kind is None:
            raise ValueError(f"{stage['order']!r} is no order")
        stage_scores = kind.score(offers, cast(Mapping[str, object], stage["terms"]))
        first = len(names)
        names += [cast(str, candidate["model"]) for candidate in candidates]
        costs += [offer.cost_nano_usd for offer in offers]
        ranked += sorted(range(first, len(names)), key=lambda at: stage_scores[at - first])
        scores.append(dict(zip(names[first:], stage_scores, strict=True)))
    providers = [name.partition("/")[0] for name in names]
    numbers = {provider: number for number, provider in enumerate(dict.fromkeys(providers))}
    picked = pick(ranked, [numbers[provider] for provider in providers])
    return Replayed(names[picked[0]], tuple(names[at] for at in picked[1:]), costs[picked[0]], tuple(scores))


def _stage(ranking: Ranking, scene: Scene, order: Order, picked: set[int]) -> Mapping[str, object]:
    """Write a stage; its candidates are in the order of the market, which decides between equal scores."""
    first = set(ranking.ranked[:_CANDIDATES])
    numbers = sorted(first | (picked & set(ranking.ranked)))
    return {
        "order": ranking.order,
        "terms": order.terms(ranking.models, scene),
        "candidates": [
            {**_candidate(number, scene.market, scene), **extra}
            for number, extra in zip(numbers, order.extras(numbers, scene), strict=True)
        ],
    }


def _candidate(number: int, market: Market, scene: Scene) -> Mapping[str, object]:
    return {
        "model": market.keys[number],
        "input_nano_usd": market.input_prices[number],
        "output_nano_usd": market.output_prices[number],
        "expected_output_tokens": scene.outputs.expected[number],
        "quality": market.qualities[number],
        "latency_ms": scene.latencies.ms(number),
    }


def _offer(candidate: Mapping[str, object], request: Mapping[str, int | None]) -> Offer:
    expected, limit = cast(int, candidate["expected_output_tokens"]), request["max_tokens"]
    output_tokens = expected if limit is None else min(expected, limit)
    return Offer(
        quality=cast(float, candidate["quality"]),
        latency_ms=cast(float, candidate["latency_ms"]),
        cost_nano_usd=cast(int, candidate["input_nano_usd"]) * cast(int, request["prompt_tokens"])
        + cast(int, candidate["output_nano_usd"]) * output_tokens,
        extra=candidate,
    )
