"""The router in the plainest words: every model is looked at, every time, with nothing prepared.

It says what the real one must come to. Constraints are spelled out here once more; how a strategy scores an
offer is taken from `Order.score`, which the tables of `test_strategies` hold against the published formulas.
"""

import math
from collections.abc import Callable, Sequence

from ai_cost_optimal_router import Config, Knowledge, Situation
from ai_cost_optimal_router.config import Policy
from ai_cost_optimal_router.market import Market, output_cell
from ai_cost_optimal_router.shortlist import pick
from ai_cost_optimal_router.strategies import STRATEGIES, Offer, Plan, Scene, Stage
from aigateway.catalog import Model


def policy_of(config: Config, situation: Situation) -> Policy:
    return config.consumers.get(situation.consumer or "", config.policy)


def expected_output(config: Config, model: Model, market: Market, scene: Scene) -> int:
    number = market.number_of(model.key)
    assert number is not None
    return scene.outputs.expected[number]


def estimate(model: Model, situation: Situation, expected: int) -> int:
    output = expected if situation.max_tokens is None else min(expected, situation.max_tokens)
    return model.prices.input * situation.prompt_tokens + model.prices.output * output


def most(model: Model, situation: Situation, config: Config) -> int:
    """What a budget must have room for."""
    output = config.unset_output_tokens if situation.max_tokens is None else situation.max_tokens
    if model.max_output_tokens is not None:
        output = min(output, model.max_output_tokens)
    prompt = math.ceil(situation.prompt_tokens * (1 + config.budget_margin))
    return max(model.prices.input, model.prices.cache_write) * prompt + model.prices.output * output


def meets_hard(model: Model, situation: Situation, knowledge: Knowledge, config: Config) -> bool:
    policy = policy_of(config, situation)
    allowed = (
        {m for pattern in policy.allow for m in config.catalog.matching(pattern)} if policy.allow else None
    )
    denied = {m for pattern in policy.deny for m in config.catalog.matching(pattern)}
    room = config.unset_output_tokens if situation.max_tokens is None else situation.max_tokens
    prompt = math.ceil(situation.prompt_tokens * (1 + config.prompt_margin))
    return (
        (allowed is None or model in allowed)
        and model not in denied
        and (not policy.regions or bool(policy.regions & model.regions))
        and (situation.format is None or situation.format in model.formats)
        and situation.needs <= model.needs
        and (situation.max_tokens is None or situation.max_tokens <= (model.max_output_tokens or math.inf))
        and prompt + room <= model.context_window_tokens
        and knowledge.closed.get(model.provider, 0) <= situation.now_s
        and knowledge.closed.get(model.key, 0) <= situation.now_s
    )


def meets_soft(model: Model, situation: Situation, config: Config) -> bool:
    policy = policy_of(config, situation)
    floor = policy.quality_floor
    if floor is None:
        floor = config.quality_floors.get(situation.domain, config.quality_floor)
    return (
        model.quality >= floor
        and situation.domain in model.domains
        and (situation.latency == "batch" or model.is_realtime)
        and (
            situation.tier in (None, model.tier)
            or all(other.tier != situation.tier for other in config.catalog)
        )
    )


def within_means(model: Model, situation: Situation, config: Config, expected: int) -> bool:
    limit = policy_of(config, situation).max_cost_nano_usd
    budget = situation.budget_nano_usd
    return (limit is None or estimate(model, situation, expected) <= limit) and (
        budget is None or most(model, situation, config) <= budget
    )


def decide(
    config: Config, situation: Situation, knowledge: Knowledge, strategy: str, draw: Callable[[], float]
) -> Sequence[str]:
    """Return the choice and its fallbacks as `provider/model`; nothing where there must be a refusal."""
    market = Market(config.catalog, config.expected_output_tokens, config.latency)
    scene = Scene(situation, knowledge, draw, market)
    hard = [
        number
        for number, model in enumerate(market.models)
        if meets_hard(model, situation, knowledge, config)
        and within_means(model, situation, config, scene.outputs.expected[number])
    ]
    models = [number for number in hard if meets_soft(market.models[number], situation, config)]
    relaxed = not models and config.on_infeasible == "best_quality"
    if relaxed:
        models = hard
    if not models:
        return ()
    scene.feasible = sum(1 << number for number in models)
    plan = Plan((Stage("quality_first"),)) if relaxed else config.strategies[strategy].plan(scene)
    ranked: list[int] = []
    for name, preferred in plan.stages:
        stage = [
            number
            for number in models
            if number not in ranked and (preferred is None or preferred >> number & 1)
        ]
        if stage:
            ranked += rank(name, stage, scene, config)
    return [market.keys[number] for number in pick(ranked, market.providers)]


def rank(name: str, stage: Sequence[int], scene: Scene, config: Config) -> Sequence[int]:
    """Rank a stage by scoring all of it."""
    market = scene.market
    order = config.strategies[name].order(market)
    kind = STRATEGIES[name].ranks_by
    assert kind is not None
    costs = [
        estimate(market.models[number], scene.situation, scene.outputs.expected[number]) for number in stage
    ]
    assert 0 <= output_cell(scene.outputs, scene.situation.max_tokens) <= len(scene.outputs.bounds)
    offers = [
        Offer(market.qualities[number], scene.latencies.ms(number), cost, {})
        for number, cost in zip(stage, costs, strict=True)
    ]
    scores = kind.score(offers, order.terms(sum(1 << number for number in stage), scene))
    return sorted(stage, key=lambda number: (scores[stage.index(number)], number))
