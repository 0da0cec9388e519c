"""Random catalogs, configurations, requests and knowledge, each from one seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from ai_cost_optimal_router import Config, Evidence, Knowledge, Situation
from ai_cost_optimal_router.config import Policy
from ai_cost_optimal_router.situation import ANY_MODEL
from aigateway.catalog import DOMAINS, Catalog, Model, Prices
from aigateway.chat import Format, Need
from aigateway.health import LatencyStats

NOW_S = 1_790_000_000.0
TIERS = ("strong", "weak", None)
REGIONS = ("us", "eu", "asia")
WINDOWS = (4_096, 8_192, 32_768, 128_000, 200_000, 1_000_000)


@dataclass(frozen=True)
class World:
    config: Config
    situation: Situation
    knowledge: Knowledge


def subset(random: Random, of: Sequence[Any], chance: float) -> frozenset[Any]:
    return frozenset(item for item in of if random.random() < chance)


def model(random: Random, number: int, providers: int, ties: bool) -> Model:
    """Make a model; with *ties*, of few different prices and qualities, so that many are equal."""
    if ties:
        input, output = random.choice((0, 100, 200)), random.choice((0, 400, 800))
        quality = random.choice((0.5, 0.72, 0.8, 1.0))
    else:
        input = round(10 ** random.uniform(1, 4))
        output = round(input * random.uniform(0.5, 6))
        quality = round(random.uniform(0.4, 1), 3)
    return Model(
        name=f"m{number}",
        provider=f"p{random.randrange(providers)}",
        cluster="c",
        upstream_name=f"u{number}",
        prices=Prices(
            input=input,
            output=output,
            cached_input=input,
            cache_write=round(input * random.choice((1, 1.25))),
        ),
        quality=quality,
        domains=subset(random, DOMAINS, 0.8) | {"general"},
        context_window_tokens=random.choice(WINDOWS),
        max_output_tokens=random.choice((None, 100, 1_000, 8_192, 64_000)),
        needs=subset(random, tuple(Need), 0.9),
        is_realtime=random.random() < 0.9,
        tier=random.choice(TIERS),
        regions=subset(random, REGIONS, 0.6),
        formats=subset(random, tuple(Format), 0.9),
    )


def catalog(random: Random, size: int, providers: int) -> Catalog:
    ties = random.random() < 0.3
    return Catalog(model(random, number, providers, ties) for number in range(size))


def latencies(random: Random, providers: int, models: Sequence[Model]) -> Mapping[str, LatencyStats]:
    keys = [f"p{number}" for number in range(providers) if random.random() < 0.7]
    keys += [model.key for model in models if random.random() < 0.05]
    return {
        key: LatencyStats(
            p50_ms=100.0,
            p95_ms=random.choice((200.0, 800.0, random.uniform(50, 20_000))),
            ewma_ms=150.0,
            ttft_p95_ms=None,
            tokens_per_s=None,
            samples=random.choice((1.0, 5.0, 200.0)),
            updated_s=NOW_S - random.choice((0.0, 30.0, 600.0)),
        )
        for key in keys
    }


def knowledge(random: Random, providers: int, models: Sequence[Model]) -> Knowledge:
    learnt: dict[str, dict[str, float]] = {}
    evidence: dict[str, dict[str, Evidence]] = {}
    for domain in DOMAINS:
        if random.random() < 0.5:
            learnt[domain] = {
                model.key: random.uniform(5, 3_000) for model in models if random.random() < 0.5
            }
            if random.random() < 0.5:
                learnt[domain][ANY_MODEL] = random.uniform(20, 1_000)
        evidence[domain] = {
            model.key: Evidence(random.uniform(0, 50), random.uniform(0, 50))
            for model in models
            if random.random() < 0.3
        }
    closed = {f"p{n}": NOW_S + random.choice((-5, 20)) for n in range(providers) if random.random() < 0.15}
    closed |= {model.key: NOW_S + 7 for model in models if random.random() < 0.02}
    return Knowledge(
        closed=closed,
        latency=latencies(random, providers, models) if random.random() < 0.8 else {},
        expected_output=learnt,
        evidence=evidence,
    )


def situation(random: Random) -> Situation:
    near = 1 << random.randrange(0, 18)
    tokens = max(1, random.choice((near - 1, near, near + 1, random.randrange(1, 200_000))))
    limit = random.choice((None, None, 1, 99, 100, 101, 400, 1_000, 4_096, random.randrange(1, 3_000)))
    return Situation(
        prompt_tokens=tokens,
        max_tokens=limit,
        needs=subset(random, tuple(Need), 0.15),
        format=random.choice((None, *Format)),
        domain=random.choice(DOMAINS),
        latency=random.choice(("realtime", "batch")),
        complexity=random.random(),
        tier=random.choice((None, None, "strong", "weak")),
        consumer=random.choice((None, "alice", "bob")),
        request_id=f"r{random.randrange(10**6)}",
        budget_nano_usd=random.choice((None, None, None, random.randrange(10**9))),
        now_s=NOW_S,
    )


def policy(random: Random, models: Sequence[Model]) -> Policy:
    names = [random.choice(models).name for _ in range(3)]
    return Policy(
        quality_floor=random.choice((None, 0.5, 0.9)),
        allow=random.choice(((), (), ("p0/*", "p1/*", "m1*"))),
        deny=random.choice(((), tuple(names), ("p1/*",))),
        regions=random.choice((frozenset(), frozenset({"eu", "us"}))),
        max_cost_nano_usd=random.choice((None, None, 10 ** random.randrange(5, 9))),
    )


def world(seed: int, *, size: int, strategies: Mapping[str, Any] | None = None) -> World:
    random = Random(seed)
    providers = random.choice((1, 2, 3, 4, 5, 20))
    models = catalog(random, size, providers)
    default = Config()
    config = Config(
        catalog=models,
        strategies={**default.strategies, **(strategies or {})},
        quality_floors=random.choice(({}, {"code": 0.8, "legal": 0.9})),
        policy=policy(random, models.models),
        consumers={"alice": policy(random, models.models)},
        on_infeasible=random.choice(("best_quality", "refuse")),
        prompt_margin=random.choice((0.0, 0.05)),
        unset_output_tokens=random.choice((256, 1024)),
    )
    return World(config, situation(random), knowledge(random, providers, models.models))
