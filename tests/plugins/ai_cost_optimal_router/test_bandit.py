"""Thompson sampling: the draws have the right distribution, and what it learns pays."""

import math
from collections import Counter
from random import Random
from statistics import fmean

import pytest

from ai_cost_optimal_router import Evidence, Knowledge, Router
from ai_cost_optimal_router.strategies.by_sample import Beta

from .models import a_model, a_router, choose


@pytest.mark.parametrize(
    ("successes", "failures"), [(1, 1), (1, 20), (3, 2), (50, 10), (1.5, 1.0), (900, 100)]
)
def test_draws_have_the_moments_of_the_distribution(successes: float, failures: float) -> None:
    random = Random(1)
    beta = Beta.of(successes, failures)
    count = 20_000
    values = [beta.sample(random.random)[0] for _ in range(count)]

    total = successes + failures
    mean = successes / total
    variance = mean * (1 - mean) / (total + 1)
    assert all(0 <= value <= 1 for value in values)
    assert abs(fmean(values) - mean) < 4 * math.sqrt(variance / count)
    assert fmean((value - mean) ** 2 for value in values) == pytest.approx(variance, rel=0.06)


def test_draws_of_an_even_distribution_are_even() -> None:
    random = Random(2)
    values = sorted(Beta.of(1, 1).sample(random.random)[0] for _ in range(10_000))

    # The statistic of Kolmogorov and Smirnov; beyond 1.63 is one in a hundred.
    worst = max(abs(value - at / len(values)) for at, value in enumerate(values))
    assert worst * math.sqrt(len(values)) < 1.63


def test_a_draw_can_be_made_again() -> None:
    random = Random(3)
    for _ in range(2_000):
        beta = Beta.of(random.uniform(1, 5), random.uniform(1, 3))
        value, drawn = beta.sample(random.random)
        assert beta.sample(iter(drawn).__next__)[0] == value


class Environment:
    """Models that do well with true chances that nobody knows, by domain."""

    def __init__(self, chances: dict[str, dict[str, float]], seed: int, **settings: object) -> None:
        self.chances = chances
        self.random = Random(seed)
        names = next(iter(chances.values()))
        self.router: Router = a_router(
            *[a_model(name, provider=name) for name in names], strategy="bandit", **settings
        )
        self.evidence: dict[str, dict[str, Evidence]] = {}

    def send(self, count: int, domain: str) -> Counter[str]:
        chosen: Counter[str] = Counter()
        for _ in range(count):
            choice = choose(
                self.router, Knowledge(evidence=dict(self.evidence)), self.random.random, domain=domain
            )
            name, key = choice.model.name, choice.model.key
            chosen[name] += 1
            good = self.random.random() < self.chances[domain][name]
            of_domain = dict(self.evidence.get(domain, {}))
            before = of_domain.get(key, Evidence())
            of_domain[key] = Evidence(before.successes + good, before.failures + (not good))
            self.evidence[domain] = of_domain
        return chosen


@pytest.mark.parametrize("seed", range(5))
def test_the_best_model_is_found(seed: int) -> None:
    environment = Environment({"general": {"bad": 0.3, "fair": 0.6, "good": 0.9}}, seed)

    first = environment.send(300, "general")
    later = environment.send(500, "general")

    assert later["good"] > 450
    # What it costs to find out stays small: about the logarithm of the requests.
    assert first["bad"] + later["bad"] < 60


def test_domains_are_learnt_apart() -> None:
    environment = Environment({"code": {"a": 0.9, "b": 0.4}, "legal": {"a": 0.4, "b": 0.9}}, 1)
    for _ in range(40):
        environment.send(10, "code")
        environment.send(10, "legal")

    assert environment.send(200, "code")["a"] > 180
    assert environment.send(200, "legal")["b"] > 180


def test_a_model_that_turns_bad_is_left() -> None:
    environment = Environment({"general": {"a": 0.95, "b": 0.8}}, 4)
    environment.send(200, "general")
    environment.chances["general"]["a"] = 0.1
    environment.send(1_500, "general")

    assert environment.send(200, "general")["b"] > 180


def test_cost_counts_beside_the_chance() -> None:
    models = [a_model("cheap", provider="a"), a_model("dear", provider="b", input=1_000, output=4_000)]
    evidence = {"general": {"a/cheap": Evidence(850, 150), "b/dear": Evidence(950, 50)}}

    def favourite(cost_weight: float) -> str:
        router = a_router(*models, bandit={"cost_weight": cost_weight})
        random = Random(1)
        counts = Counter(
            choose(router, Knowledge(evidence=evidence), random.random, strategy="bandit").model.name
            for _ in range(100)
        )
        return counts.most_common(1)[0][0]

    assert favourite(0.3) == "cheap"
    assert favourite(0.0) == "dear"


def test_before_anything_is_learnt_quality_is_the_guess() -> None:
    models = [a_model("good", provider="a", quality=0.95), a_model("poor", provider="b", quality=0.75)]
    random = Random(1)

    def share(prior_mass: float) -> float:
        router = a_router(*models, bandit={"prior_mass": prior_mass})
        return fmean(
            choose(router, draw=random.random, strategy="bandit").model.name == "good" for _ in range(300)
        )

    assert 0.6 < share(10) < 0.97
    assert share(10_000) == 1


def test_only_the_arms_are_tried_however_many_models_there_are() -> None:
    models = [a_model(f"m{at}", provider=f"p{at % 6}", quality=0.8 + at / 1_000) for at in range(100)]
    random = Random(1)
    router = a_router(*models, bandit={"arms": 3})

    chosen = {choose(router, draw=random.random, strategy="bandit").model.name for _ in range(300)}

    assert chosen == {"m99", "m98", "m97"}


def test_an_arm_that_disappoints_makes_room_for_the_next() -> None:
    models = [a_model(f"m{at}", provider=f"p{at}", quality=0.9 - at / 100) for at in range(10)]
    random = Random(1)
    router = a_router(*models, bandit={"arms": 3, "cost_weight": 0})

    def arms(**evidence: Evidence) -> set[str]:
        known = {f"p{name[1:]}/{name}": of_one for name, of_one in evidence.items()}
        knowledge = Knowledge(evidence={"general": known})
        return {choose(router, knowledge, random.random, strategy="bandit").model.name for _ in range(200)}

    assert arms() == {"m0", "m1", "m2"}
    assert arms(m1=Evidence(1, 9)) == {"m0", "m2", "m3"}
    assert "m9" in arms(m9=Evidence(50, 0))
