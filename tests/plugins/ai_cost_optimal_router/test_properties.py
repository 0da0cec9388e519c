"""What holds for any catalog, any request and any state of the providers."""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_cost_optimal_router import Choice, Config, Knowledge, RefusedError, Router, Situation
from ai_cost_optimal_router.audit import replay
from ai_cost_optimal_router.strategies import STRATEGIES
from aigateway.catalog import Model

from . import plain
from .worlds import World, world

STATELESS = [name for name in STRATEGIES if name not in ("weighted", "least_requests", "bandit")]

seeds = st.integers(0, 2**32)
sizes = st.one_of(st.integers(1, 20), st.integers(17, 300))


def draws(seed: int) -> Callable[[], float]:
    return Random(seed).random


def choose(of: World, strategy: str, seed: int) -> Choice | None:
    situation = replace(of.situation, strategy=strategy)
    try:
        return Router(of.config).choose(situation, of.knowledge, draws(seed))
    except RefusedError:
        return None


def taken(choice: Choice) -> Iterator[Model]:
    yield choice.model
    yield from choice.fallbacks


@pytest.mark.parametrize("strategy", STATELESS)
@given(seed=seeds, size=sizes)
def test_the_shortlist_chooses_as_looking_at_everything_does(strategy: str, seed: int, size: int) -> None:
    of = world(seed, size=size)

    choice = choose(of, strategy, seed)

    expected = plain.decide(of.config, of.situation, of.knowledge, strategy, draws(seed))
    assert ([model.key for model in taken(choice)] if choice else []) == list(expected)


@given(seed=seeds, size=sizes, strategy=st.sampled_from(list(STRATEGIES)))
def test_nobody_is_chosen_who_must_not_be(seed: int, size: int, strategy: str) -> None:
    of = world(seed, size=size)
    choice = choose(of, strategy, seed)
    if choice is None:
        return

    router_gave_up = choice.strategy == "best_quality"
    for model in taken(choice):
        assert plain.meets_hard(model, of.situation, of.knowledge, of.config)
        assert plain.meets_soft(model, of.situation, of.config) or router_gave_up
        if of.situation.max_tokens is not None:
            assert of.situation.prompt_tokens + of.situation.max_tokens <= model.context_window_tokens
        if of.situation.budget_nano_usd is not None:
            assert plain.most(model, of.situation, of.config) <= of.situation.budget_nano_usd
    limit = plain.policy_of(of.config, of.situation).max_cost_nano_usd
    assert limit is None or choice.estimated_cost_nano_usd <= limit
    assert router_gave_up <= (of.config.on_infeasible == "best_quality")
    assert choice.strategy in (strategy, "best_quality")


@given(seed=seeds, size=sizes)
def test_cost_optimal_is_the_cheapest_there_is(seed: int, size: int) -> None:
    of = world(seed, size=size)
    choice = choose(of, "cost_optimal", seed)
    if choice is None or choice.strategy == "best_quality":
        return

    rival_costs = [
        cost
        for model in of.config.catalog
        if plain.meets_hard(model, of.situation, of.knowledge, of.config)
        and plain.meets_soft(model, of.situation, of.config)
        and (cost := cost_of(model, of)) is not None
    ]
    assert choice.estimated_cost_nano_usd == min(rival_costs)


def cost_of(model: Model, of: World) -> int | None:
    """Estimate from the lengths that were learnt, without the router; `None` where it is too much."""
    learnt = of.knowledge.expected_output.get(of.situation.domain, {})
    tokens: float = learnt.get(model.key, learnt.get("*", 400))
    if model.key in learnt or "*" in learnt:
        step = min(range(200), key=lambda step: abs(math.log2(tokens) - step / 8))
        tokens = round(2 ** (step / 8))
    if model.max_output_tokens is not None:
        tokens = min(tokens, model.max_output_tokens)
    expected = int(tokens)
    affordable = plain.within_means(model, of.situation, of.config, expected)
    return plain.estimate(model, of.situation, expected) if affordable else None


@given(seed=seeds, size=sizes, strategy=st.sampled_from(list(STRATEGIES)))
def test_a_record_is_enough_to_choose_again(seed: int, size: int, strategy: str) -> None:
    of = world(seed, size=size)
    choice = choose(of, strategy, seed)
    if choice is None:
        return

    record = json.loads(json.dumps(choice.make_record(), allow_nan=False))
    again = replay(record)

    assert again.model == choice.model.key == record["model"]
    assert again.fallbacks == tuple(model.key for model in choice.fallbacks)
    assert again.estimated_cost_nano_usd == choice.estimated_cost_nano_usd


@given(seed=seeds, size=sizes, strategy=st.sampled_from(STATELESS), order=st.randoms(use_true_random=False))
def test_earlier_requests_change_nothing(seed: int, size: int, strategy: str, order: Random) -> None:
    of = world(seed, size=size)
    others = [world(seed + number, size=size) for number in range(1, 6)]
    router = Router(of.config)
    for other in others:
        try:
            router.choose(replace(other.situation, strategy=strategy), other.knowledge, order.random)
        except RefusedError:
            continue

    try:
        choice = router.choose(replace(of.situation, strategy=strategy), of.knowledge, draws(seed))
    except RefusedError:
        assert choose(of, strategy, seed) is None
        return

    fresh = choose(of, strategy, seed)
    assert fresh is not None
    assert list(taken(choice)) == list(taken(fresh))
    assert choice.reason == fresh.reason


@given(seed=seeds, size=sizes, strategy=st.sampled_from(list(STRATEGIES)))
def test_the_reason_adds_up_and_fits_a_header(seed: int, size: int, strategy: str) -> None:
    of = world(seed, size=size)
    choice = choose(of, strategy, seed)
    if choice is None:
        return

    assert len(choice.reason) <= 256
    assert choice.reason.isascii()
    assert choice.reason.isprintable()
    record = choice.make_record()
    excluded = record["excluded"]
    assert isinstance(excluded, dict)
    assert record["feasible"] == size - sum(excluded.values())
    counts = re.search(r" of (\d+)(?: preferred, (\d+) possible)?(?:;|$|\.)", choice.reason)
    assert counts is not None
    assert int(counts[2] or counts[1]) == record["feasible"]
    assert int(counts[1]) <= int(counts[2] or counts[1])


@given(seed=seeds, size=sizes, strategy=st.sampled_from(list(STRATEGIES)))
def test_fallbacks_are_others_and_of_other_providers_first(seed: int, size: int, strategy: str) -> None:
    of = world(seed, size=size)
    choice = choose(of, strategy, seed)
    if choice is None:
        return

    models = list(taken(choice))
    assert len(set(models)) == len(models) <= 4
    feasible = choice.make_record()["feasible"]
    assert isinstance(feasible, int)
    assert len(models) == min(4, feasible)
    providers = [model.provider for model in models]
    first_repeat = next((at for at, name in enumerate(providers) if name in providers[:at]), len(providers))
    assert set(providers[first_repeat:]) <= set(providers[:first_repeat])


def test_knowing_nothing_is_enough() -> None:
    choice = Router(Config()).choose(Situation(), Knowledge(), draws(1))

    assert choice.model.name == "gpt-4.1-mini"
