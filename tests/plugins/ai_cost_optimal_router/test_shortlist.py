"""The shortlist of a cell holds what is needed anywhere in it, and is short."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_cost_optimal_router import Knowledge, Situation
from ai_cost_optimal_router.market import Expectation, LatencyRule, Market
from ai_cost_optimal_router.shortlist import needed, needed_in_groups, pick, prompt_cell, unbeaten
from ai_cost_optimal_router.strategies import Order, Scene
from ai_cost_optimal_router.strategies.by_score import (
    Balanced,
    CostOptimal,
    LatencyAware,
    _BalanceWeights,
    _CostOrder,
)
from aigateway.catalog import Catalog

from .models import a_latency, a_model, a_router, choose, names, never


@pytest.mark.parametrize(
    ("ranked", "providers", "expected"),
    [
        ([0, 1, 2, 3, 4], "abcde", [0, 1, 2, 3]),
        ([4, 3, 2, 1, 0], "abcde", [4, 3, 2, 1]),
        ([0, 1, 2, 3, 4, 5], "aaabbc", [0, 3, 5, 1]),
        ([0, 1, 2, 3], "aaaa", [0, 1, 2, 3]),
        ([2, 0], "abc", [2, 0]),
        ([1], "ab", [1]),
    ],
)
def test_other_providers_come_first(ranked: list[int], providers: str, expected: list[int]) -> None:
    assert pick(ranked, [ord(provider) for provider in providers]) == expected


@pytest.mark.parametrize(
    ("tokens", "cell"), [(1, (1, 1)), (2, (2, 3)), (3, (2, 3)), (4, (4, 7)), (0, (0, 0))]
)
def test_cells_are_between_powers_of_two(tokens: int, cell: tuple[int, int]) -> None:
    assert prompt_cell(tokens.bit_length()) == cell


lines = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 300), st.integers(0, 5)), min_size=1, max_size=60
)


@given(lines=lines, reach=st.integers(1, 40))
def test_what_is_needed_between_the_corners_is_in_the_shortlist(
    lines: list[tuple[int, int, int]], reach: int
) -> None:
    slopes, starts, providers = zip(*lines, strict=True)

    def keys(at: int) -> list[int]:
        scores = [start + slope * at for slope, start in zip(slopes, starts, strict=True)]
        return [score * len(lines) + number for number, score in enumerate(scores)]

    short = needed([keys(0), keys(reach)], providers)

    for at in range(reach + 1):
        here = keys(at)
        ranked = sorted(range(len(lines)), key=here.__getitem__)
        assert set(pick(ranked, providers)) <= set(short)


@given(
    lines=lines,
    reach=st.integers(1, 40),
    added=st.lists(st.integers(0, 500), min_size=6, max_size=6),
)
def test_what_is_needed_whatever_groups_have_added_is_in_the_wide_list(
    lines: list[tuple[int, int, int]], reach: int, added: list[int]
) -> None:
    slopes, starts, providers = zip(*lines, strict=True)

    def keys(at: int, added: Sequence[int]) -> list[int]:
        scores = [
            start + slope * at + added[provider]
            for slope, start, provider in zip(slopes, starts, providers, strict=True)
        ]
        return [score * len(lines) + number for number, score in enumerate(scores)]

    nothing = [0] * 6
    few = len(set(providers)) < 4
    wide = needed_in_groups([keys(0, nothing), keys(reach, nothing)], providers, few)

    for at in range(reach + 1):
        here = keys(at, added)
        ranked = sorted(range(len(lines)), key=here.__getitem__)
        assert set(pick(ranked, providers)) <= set(wide)


@given(lines=lines, reach=st.integers(1, 40))
def test_the_least_between_the_corners_is_unbeaten_at_them(
    lines: list[tuple[int, int, int]], reach: int
) -> None:
    def values(at: int) -> list[int]:
        return [start + slope * at for slope, start, _ in lines]

    ends = unbeaten([values(0), values(reach)])

    for at in range(reach + 1):
        assert min(values(at)) == min(values(at)[number] for number in ends)


def in_cells(seed: int, order_of: str) -> None:
    """Compare the picks from shortlists with those from all models, for many sizes of requests."""
    random = Random(seed)
    providers = random.choice((1, 2, 4, 6))
    catalog = Catalog(
        a_model(
            f"m{number}",
            provider=f"p{random.randrange(providers)}",
            input=round(10 ** random.uniform(0, 3)),
            output=round(10 ** random.uniform(0, 3)),
            quality=random.random(),
            context_window_tokens=10**9,
        )
        for number in range(random.randrange(18, 40))
    )
    market = Market(catalog, Expectation(), LatencyRule())
    orders: dict[str, Order] = {
        "cost": CostOptimal().order(market),
        "latency": LatencyAware().order(market),
        "balance": Balanced(_BalanceWeights(random.random(), random.random() + 0.01, 0.1)).order(market),
    }
    order = orders[order_of]
    knowledge = Knowledge(
        latency={f"p{number}": a_latency(random.uniform(100, 900)) for number in range(providers)},
        expected_output={"general": {model.key: 10 ** random.uniform(1, 3) for model in catalog}},
    )
    bits = random.randrange(4, 12)
    for _ in range(40):
        situation = Situation(
            prompt_tokens=random.randrange(1 << bits, 2 << bits),
            max_tokens=random.choice((None, random.randrange(1, 1_000))),
        )
        scene = Scene(situation, knowledge, never, market)
        ranked = order.rank(market.everything, scene)
        scene.narrowed = True  # Then everything is looked at.
        everything = order.rank(market.everything, scene)
        assert len(everything) == market.count
        assert pick(ranked, market.providers) == pick(everything, market.providers)


@pytest.mark.parametrize("order", ["cost", "latency", "balance"])
@pytest.mark.parametrize(
    # In the last ones the spread of costs bends within a cell, just where that decides.
    "seed",
    [*range(60), 640, 1291, 1304, 1477, 1537, 1723, 1979],
)
def test_orders_find_in_their_shortlists_what_they_find_in_all(seed: int, order: str) -> None:
    in_cells(seed, order)


def test_shortlists_are_short() -> None:
    random = Random(1)
    catalog = Catalog(
        a_model(
            f"m{number}",
            provider=f"p{random.randrange(20)}",
            input=(price := round(10 ** random.uniform(1, 4))),
            output=round(price * random.uniform(2, 6)),
            quality=random.random(),
        )
        for number in range(1_000)
    )
    market = Market(catalog, Expectation(), LatencyRule())
    knowledge = Knowledge(latency={f"p{number}": a_latency(100 + 50 * number) for number in range(20)})
    orders = {"cost": CostOptimal(), "latency": LatencyAware(), "balance": Balanced()}
    for name, strategy in orders.items():
        order = strategy.order(market)
        lengths = []
        for tokens in (10, 500, 3_000, 40_000):
            scene = Scene(Situation(prompt_tokens=tokens), knowledge, never, market)
            for _ in range(3):
                ranked = order.rank(market.everything, scene)
            lengths.append(len(ranked))
        assert max(lengths) <= 16, name


@pytest.mark.parametrize("strategy", ["balanced", "latency_aware"])
@pytest.mark.parametrize("seed", range(20))
def test_shortlists_follow_the_news(seed: int, strategy: str) -> None:
    random = Random(seed)
    models = [
        a_model(
            f"m{number}",
            provider=f"p{number % 8}",
            input=round(10 ** random.uniform(0, 3)),
            quality=random.uniform(0.72, 1),
        )
        for number in range(80)
    ]
    router = a_router(*models, strategy=strategy, latency_aware={"explore_share": 0})
    for _ in range(4):
        news = Knowledge(latency={f"p{number}": a_latency(random.uniform(100, 3_000)) for number in range(8)})
        # So often that it pays to make a shortlist for these latencies.
        chosen = [names(choose(router, news, prompt_tokens=700)) for _ in range(5)]

        fresh = a_router(*models, strategy=strategy, latency_aware={"explore_share": 0})
        assert chosen == [names(choose(fresh, news, prompt_tokens=700))] * 5


def test_what_one_price_limit_made_is_not_remembered() -> None:
    models = [a_model(f"m{number}", provider=f"p{number % 8}", input=1 + number) for number in range(200)]
    router = a_router(*models)
    for budget in range(300):
        choice = choose(router, prompt_tokens=1_000, budget_nano_usd=450_000 + 500 * budget)
        assert "budget: " in choice.reason

    assert len(router._market._members) < 5
    order = router._orders["cost_optimal"]
    assert isinstance(order, _CostOrder)
    assert len(order._cells) < 5
