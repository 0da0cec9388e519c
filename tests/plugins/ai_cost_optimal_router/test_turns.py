"""Strategies that share requests out: arms of a comparison, turns by weight, fewest requests under way."""

import math
from collections import Counter
from hashlib import sha256
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_cost_optimal_router import Choice, Router

from .models import a_model, a_router, choose, names


def arms_of(router: Router, key: str, values: list[str], **others: Any) -> dict[str, str]:
    """Return the arm of each value of consumer or request."""
    return {value: arm_of(choose(router, strategy="ab", **{**others, key: value})) for value in values}


def arm_of(choice: Choice) -> str:
    return str(choice.make_record()["case"])


PEOPLE = [f"consumer-{number}" for number in range(4_000)]
HALVES = [{"name": "a", "models": ["gpt-4.1-mini"]}, {"name": "b", "models": ["kimi"]}]


@pytest.mark.parametrize("weights", [(1, 1), (9, 1), (1, 2, 3, 4), (99, 1)])
def test_arms_are_as_large_as_their_weights(weights: tuple[int, ...]) -> None:
    arms = [
        {"name": f"arm{at}", "weight": weight, "strategy": "cost_optimal"}
        for at, weight in enumerate(weights)
    ]
    counts = Counter(arms_of(a_router(ab={"arms": arms}), "consumer", PEOPLE).values())

    for at, weight in enumerate(weights):
        share = weight / sum(weights)
        deviation = math.sqrt(len(PEOPLE) * share * (1 - share))
        assert abs(counts[f"arm{at}"] - len(PEOPLE) * share) < 3 * deviation


def test_a_consumer_stays_in_its_arm() -> None:
    first = arms_of(a_router(ab={"arms": HALVES}), "consumer", PEOPLE[:200])

    # Another worker, another day, other requests: the same buckets.
    later = arms_of(
        a_router(ab={"arms": HALVES}), "consumer", PEOPLE[:200], request_id="another", prompt_tokens=9_000
    )
    assert later == first
    for name in PEOPLE[:200]:
        assert first[name] == ("a" if sha256(f"ab/{name}".encode()).digest()[0] < 128 else "b")


def test_arms_have_the_models_that_they_name() -> None:
    router = a_router(ab={"arms": HALVES})

    for consumer in PEOPLE[:50]:
        choice = choose(router, strategy="ab", consumer=consumer)
        assert choice.model.name == {"a": "gpt-4.1-mini", "b": "kimi"}[arm_of(choice)]
        assert choice.reason.startswith(f"ab {arm_of(choice)}: {choice.model.name} ")


def test_an_arm_can_be_a_strategy() -> None:
    arms = [{"name": "rules", "strategy": "rule_based"}, {"name": "cost", "weight": 0, "strategy": "tiered"}]

    choice = choose(a_router(ab={"arms": arms}), strategy="ab", consumer="x", domain="medical")

    assert choice.reason.startswith("ab rules/safety: claude-sonnet")


def test_requests_of_nobody_go_by_their_id() -> None:
    router = a_router(ab={"arms": HALVES})

    by_id = arms_of(router, "request_id", PEOPLE[:300])
    assert set(by_id.values()) == {"a", "b"}
    assert by_id == arms_of(router, "consumer", PEOPLE[:300])
    one_consumer = arms_of(router, "request_id", PEOPLE[:300], consumer="alice")
    assert len(set(one_consumer.values())) == 1


def test_requests_can_be_put_into_buckets_instead_of_consumers() -> None:
    router = a_router(ab={"arms": HALVES, "by": "request"})

    assert set(arms_of(router, "request_id", PEOPLE[:50], consumer="alice").values()) == {"a", "b"}


def test_another_salt_makes_other_buckets() -> None:
    one = arms_of(a_router(ab={"arms": HALVES, "salt": "one"}), "consumer", PEOPLE)
    two = arms_of(a_router(ab={"arms": HALVES, "salt": "two"}), "consumer", PEOPLE)

    same = sum(one[name] == two[name] for name in PEOPLE)
    assert abs(same - len(PEOPLE) / 2) < 3 * math.sqrt(len(PEOPLE)) / 2


def test_a_changed_weight_moves_only_those_between_the_borders() -> None:
    def arms(weight: int) -> dict[str, Any]:
        return {
            "arms": [
                {"name": "a", "weight": weight, "strategy": "balanced"},
                {"name": "b", "weight": 100 - weight, "strategy": "cost_optimal"},
            ]
        }

    before = arms_of(a_router(ab=arms(50)), "consumer", PEOPLE)
    after = arms_of(a_router(ab=arms(60)), "consumer", PEOPLE)

    moves = Counter((before[name], after[name]) for name in PEOPLE)
    assert moves["a", "b"] == 0
    assert abs(moves["b", "a"] - 0.1 * len(PEOPLE)) < 3 * math.sqrt(0.09 * len(PEOPLE))


def weighing(*weights: int) -> Router:
    """Make a router with the models m0, m1 and so on, of a provider each."""
    entry = {
        "quality": 0.8,
        "context_window_tokens": 100_000,
        "prices_nano_usd_per_token": {"input": 100, "output": 400},
    }
    return a_router(
        strategy="weighted",
        catalog=[{"name": f"m{at}", "provider": f"p{at}", **entry} for at in range(len(weights))],
        weighted={"weights": [{"models": [f"m{at}"], "weight": weight} for at, weight in enumerate(weights)]},
    )


def turns(router: Router, count: int) -> list[str]:
    return [choose(router, strategy="weighted").model.name for _ in range(count)]


def test_turns_are_smooth() -> None:
    assert turns(weighing(5, 1, 1), 7) == ["m0", "m1", "m0", "m0", "m2", "m0", "m0"]
    assert turns(weighing(1, 1, 1), 6) == ["m0", "m1", "m2", "m0", "m1", "m2"]
    assert turns(weighing(200, 100), 6) == ["m0", "m1", "m0", "m0", "m1", "m0"]
    assert turns(weighing(1, 1, 1, 1, 4), 8) == ["m4", "m0", "m4", "m1", "m4", "m2", "m3", "m4"]


@given(weights=st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_turns_are_in_exact_proportion_and_never_a_whole_turn_off(weights: list[int]) -> None:
    rounds = 2
    total = sum(weights)
    taken = turns(weighing(*weights), rounds * total)

    assert Counter(taken) == {f"m{at}": rounds * weight for at, weight in enumerate(weights)}
    for at, weight in enumerate(weights):
        mine = 0
        for count, chosen in enumerate(taken, 1):
            mine += chosen == f"m{at}"
            assert abs(mine * total - count * weight) < total
        places = [number for number, chosen in enumerate(taken) if chosen == f"m{at}"]
        # Two turns are in parts that follow each other, so they are less than two parts from each other.
        assert all((later - sooner) * weight < 2 * total for sooner, later in pairwise(places))


def test_models_without_weight_wait_until_all_else_fails() -> None:
    router = weighing(1, 0, 2)

    assert set(turns(router, 12)) == {"m0", "m2"}
    assert names(choose(router, strategy="weighted"))[:2] in (["m0", "m2"], ["m2", "m0"])
    assert names(choose(router, strategy="weighted"))[2:] == ["m1"]
    assert turns(weighing(0), 2) == ["m0", "m0"]


def test_the_first_weight_that_fits_counts() -> None:
    router = a_router(
        strategy="weighted",
        weighted={"weights": [{"models": ["openai/*"], "weight": 3}, {"models": ["*"], "weight": 1}]},
    )
    counts = Counter(choose(router, domain="code").model.name for _ in range(10))

    assert counts["gpt-5.5"] == counts["gpt-4.1-mini"] == 3
    assert counts["claude-sonnet"] == counts["kimi"] == 1


@pytest.mark.parametrize("strategy", ["weighted", "least_requests"])
def test_equals_can_be_narrowed_by_quality(strategy: str) -> None:
    router = a_router(strategy=strategy, **{strategy: {"quality_within": 0.02}})

    assert {choose(router).model.name for _ in range(12)} == {"claude-sonnet", "gpt-5.5"}
    # What follows when those fail goes by cost.
    assert names(choose(router))[2:] == ["kimi", "gemini-flash"]


def test_turns_of_different_sets_do_not_mix() -> None:
    router = a_router(strategy="weighted")
    medical = []
    for _ in range(4):
        medical.append(choose(router, domain="medical").model.name)
        choose(router)

    assert medical == ["claude-sonnet", "gpt-5.5"] * 2


def test_the_fewest_requests_under_way_come_first() -> None:
    router = a_router(strategy="least_requests", least_requests={"models": ["openai/*", "anthropic/*"]})
    under_way: Counter[str] = Counter()
    for _ in range(40):
        choice = choose(router)
        router.begin(choice.model.key)
        under_way[choice.model.key] += 1

    assert sorted(under_way.values()) == [10, 10, 10, 10]
    for _ in range(3):
        router.end("openai/gpt-4.1-mini")
    assert [choose(router).model.name for _ in range(3)] == ["gpt-4.1-mini"] * 3


def test_of_equally_busy_ones_the_longest_idle_comes_first() -> None:
    router = a_router(strategy="least_requests")

    order = [choose(router).model.name for _ in range(12)]

    assert len(set(order[:6])) == 6
    assert order[6:] == order[:6]


@given(
    providers=st.lists(st.integers(0, 5), min_size=1, max_size=40),
    busy=st.lists(st.integers(0, 4), min_size=40, max_size=40),
    steps=st.integers(1, 30),
)
def test_fewest_requests_are_found_as_by_looking_at_all(
    providers: list[int], busy: list[int], steps: int
) -> None:
    models = [a_model(f"m{at}", provider=f"p{provider}") for at, provider in enumerate(providers)]
    router = a_router(*models)
    under_way = {model.name: busy[at] for at, model in enumerate(models)}
    for model in models:
        for _ in range(under_way[model.name]):
            router.begin(model.key)
    queue = list(under_way)

    for _ in range(steps):
        ranked = sorted(queue, key=lambda name: (under_way[name], queue.index(name)))
        provider_of = {model.name: model.provider for model in models}
        first_of_each = [
            name
            for at, name in enumerate(ranked)
            if provider_of[name] not in [provider_of[other] for other in ranked[:at]]
        ]
        rest = [name for name in ranked if name not in first_of_each]

        choice = choose(router, strategy="least_requests")

        assert names(choice) == (first_of_each + rest)[:4]
        queue.remove(choice.model.name)
        queue.append(choice.model.name)
        under_way[choice.model.name] += 1
        router.begin(choice.model.key)


def test_ends_without_a_beginning_and_strangers_change_nothing() -> None:
    router = a_router(strategy="least_requests")
    router.end("openai/gpt-5.5")
    router.begin("nobody/nothing")
    router.end("nobody/nothing")

    assert len({choose(router).model.name for _ in range(6)}) == 6
