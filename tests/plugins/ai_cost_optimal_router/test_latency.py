"""What latency a model is taken to have, and that nobody is forgotten for having been slow."""

from collections import Counter
from random import Random

import pytest

from ai_cost_optimal_router import Config, Knowledge
from ai_cost_optimal_router.market import Expectation, LatencyRule, Market
from aigateway.catalog import Catalog
from aigateway.health import LatencyStats

from .models import NOW_S, a_latency, a_model, a_router, choose

MODELS = [a_model(f"m-{name}", provider=name) for name in ("fast", "usual", "slow", "new")]
RULE = LatencyRule(half_life_s=60, prior_samples=0, refresh_s=5)


def latencies(measured: dict[str, LatencyStats], rule: LatencyRule = RULE) -> dict[str, float]:
    """Return what each model of the catalog is taken to take."""
    market = Market(Catalog(MODELS), Expectation(), rule)
    view = market.latencies(measured, NOW_S)
    return {model.name: view.ms(number) for number, model in enumerate(market.models)}


def test_who_is_not_known_is_taken_to_be_like_the_median() -> None:
    measured = {"fast": a_latency(100), "usual": a_latency(400), "slow": a_latency(5_000)}

    assert latencies(measured) == {"m-fast": 100, "m-usual": 400, "m-slow": 5_000, "m-new": 400}


def test_where_nobody_is_known_all_are_alike() -> None:
    assert set(latencies({}).values()) == {2_000}


@pytest.mark.parametrize(("age_s", "expected"), [(0, 4_400), (60, 2_400), (120, 1_400), (3_600, 400)])
def test_what_was_measured_drifts_back_to_the_median(age_s: float, expected: float) -> None:
    measured = {"fast": a_latency(100), "usual": a_latency(400), "slow": a_latency(4_400, age_s=age_s)}

    assert latencies(measured)["m-slow"] == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("samples", "expected"), [(1, 1_050), (5, 2_400), (95, 4_200)])
def test_few_samples_move_a_little(samples: float, expected: float) -> None:
    measured = {
        "fast": a_latency(100),
        "usual": a_latency(400),
        "slow": a_latency(4_400, samples=samples),
    }
    taken = latencies(measured, LatencyRule(prior_samples=5))

    assert taken["m-slow"] == pytest.approx(expected, rel=0.02)


def test_a_model_that_is_measured_by_itself_counts_by_itself() -> None:
    sibling = a_model("m-sibling", provider="fast")
    market = Market(Catalog([*MODELS, sibling]), Expectation(), RULE)
    view = market.latencies({"fast": a_latency(100), "fast/m-sibling": a_latency(900)}, NOW_S)

    taken = {model.name: view.ms(number) for number, model in enumerate(market.models)}
    assert (taken["m-fast"], taken["m-sibling"]) == (100, 900)


def test_which_figure_counts_can_be_chosen() -> None:
    measured = {"fast": a_latency(400)}

    assert latencies(measured, LatencyRule(measure="p50_ms", prior_samples=0))["m-fast"] == 200
    assert latencies(measured, LatencyRule(measure="ttft_p95_ms", prior_samples=0))["m-fast"] == 100


def test_a_figure_that_is_not_there_is_not_known() -> None:
    silent = LatencyStats(
        p50_ms=1, p95_ms=2, ewma_ms=1, ttft_p95_ms=None, tokens_per_s=None, samples=9, updated_s=NOW_S
    )

    assert latencies({"fast": silent}, LatencyRule(measure="ttft_p95_ms"))["m-fast"] == 2_000


def test_who_is_stale() -> None:
    market = Market(Catalog(MODELS), Expectation(), RULE)
    view = market.latencies({"fast": a_latency(1), "usual": a_latency(1, age_s=61)}, NOW_S)

    stale = {model.name for number, model in enumerate(market.models) if view.stale >> number & 1}
    assert stale == {"m-usual", "m-slow", "m-new"}
    # If nothing recent is known of anyone, nobody is more in need of a look than others.
    assert market.latencies({"fast": a_latency(1, age_s=61)}, NOW_S).stale == 0


class World:
    """Providers with true latencies, of which the router learns only from what it sends there."""

    def __init__(self, true_ms: dict[str, float]) -> None:
        self.true_ms = true_ms
        self.random = Random(7)
        self.now_s = NOW_S
        self.known: dict[str, LatencyStats] = {}
        models = [a_model(f"m-{name}", provider=name) for name in true_ms]
        self.router = a_router(*models, strategy="latency_aware")

    def send(self, count: int, seconds_apart: float = 0.1) -> Counter[str]:
        chosen: Counter[str] = Counter()
        for _ in range(count):
            self.now_s += seconds_apart
            choice = choose(
                self.router, Knowledge(latency=dict(self.known)), self.random.random, now_s=self.now_s
            )
            provider = choice.model.provider
            chosen[provider] += 1
            before = self.known.get(provider)
            samples = 1.0 if before is None else min(before.samples + 1, 100)
            self.known[provider] = a_latency(
                self.true_ms[provider], samples=samples, age_s=NOW_S - self.now_s
            )
        return chosen


def test_a_cold_provider_neither_always_wins_nor_never() -> None:
    world = World({"fast": 300, "usual": 900, "slow": 3_000})
    world.known = {name: a_latency(ms, samples=100) for name, ms in world.true_ms.items()}
    del world.known["slow"]

    chosen = world.send(500)

    assert chosen["fast"] > 450
    assert chosen["slow"] >= 1


def test_a_cold_provider_that_is_fast_is_found_out() -> None:
    world = World({"fast": 300, "usual": 900, "slow": 3_000})
    world.known = {"usual": a_latency(900, samples=100), "slow": a_latency(3_000, samples=100)}

    world.send(300)

    assert world.send(200)["fast"] > 180


def test_a_provider_that_was_slow_is_tried_again() -> None:
    world = World({"fast": 300, "usual": 900, "slow": 5_000})
    world.send(200)
    world.true_ms["slow"] = 100

    world.send(3_000)

    assert world.send(200)["slow"] > 180


def test_without_exploring_nobody_is_tried_for_the_sake_of_it() -> None:
    settings = {"strategy": "latency_aware", "latency_aware": {"explore_share": 0}}
    router = a_router(*[a_model(f"m-{name}", provider=name) for name in ("a", "b")], **settings)

    choice = choose(router, Knowledge(latency={"a": a_latency(10), "c": a_latency(1)}), prompt_tokens=5)

    assert choice.make_record()["case"] == ""


def test_exploring_says_so() -> None:
    router = a_router(*[a_model(f"m-{name}", provider=name) for name in ("a", "b")])
    known = Knowledge(latency={"a": a_latency(10)})

    exploring = choose(router, known, lambda: 0.019, strategy="latency_aware")
    settled = choose(router, known, lambda: 0.021, strategy="latency_aware")

    assert exploring.reason.startswith("latency_aware explore: m-b least wait of 1 preferred, 2 possible")
    assert settled.reason.startswith("latency_aware: m-a least wait of 2")


def test_time_passes_in_steps() -> None:
    market = Market(Config().catalog, Expectation(), RULE)
    measured = {"openai": a_latency(100), "google": a_latency(900)}

    first = market.latencies(measured, 10 * RULE.refresh_s)

    assert market.latencies(measured, 11 * RULE.refresh_s - 0.1) is first
    assert market.latencies(dict(measured), 11 * RULE.refresh_s - 0.1) is first
    assert market.latencies(measured, 11 * RULE.refresh_s) is not first
