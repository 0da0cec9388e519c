"""What the router's benchmarks are run on: catalogs of any size, requests of any kind, and some news.

The catalog of a thousand models has what real ones have: twenty providers, prices over three decades, the
usual context windows, some models that see, hear or take their time.
"""

from collections.abc import Sequence
from random import Random

from ai_cost_optimal_router import Evidence, Knowledge, Situation
from aigateway.catalog import DEFAULT_CATALOG, DOMAINS, Catalog, Model, Prices
from aigateway.chat import Format, Need
from aigateway.health import LatencyStats

NOW_S = 1_790_000_000.0
PROVIDERS = 20
WINDOWS = (8_192, 16_384, 32_768, 65_536, 128_000, 131_072, 200_000, 262_144, 1_000_000, 1_048_576)
_USUAL = frozenset({Need.TOOLS, Need.JSON, Need.STREAM})


def catalog_of(size: int) -> Catalog:
    """Make a catalog; the one of seven models is the default one."""
    if size == len(DEFAULT_CATALOG):
        return DEFAULT_CATALOG
    random = Random(size)
    return Catalog(_model(random, number) for number in range(size))


def _model(random: Random, number: int) -> Model:
    input = round(10 ** random.uniform(1.3, 4.3))
    needs = set(_USUAL)
    needs |= {Need.VISION} if random.random() < 0.5 else set()
    needs |= {Need.AUDIO} if random.random() < 0.1 else set()
    provider = f"provider-{random.randrange(PROVIDERS)}"
    return Model(
        name=f"model-{number}",
        provider=provider,
        cluster=provider,
        upstream_name=f"model-{number}",
        prices=Prices(
            input=input,
            output=round(input * random.uniform(2, 6)),
            cached_input=input // 10,
            cache_write=round(input * 1.25),
        ),
        quality=round(random.uniform(0.5, 0.99), 3),
        domains=frozenset(domain for domain in DOMAINS if random.random() < 0.7) | {"general"},
        context_window_tokens=random.choice(WINDOWS),
        max_output_tokens=random.choice((8_192, 16_384, 32_768, 65_536, 128_000)),
        needs=frozenset(needs),
        is_realtime=random.random() < 0.95,
        tier="strong" if random.random() < 0.3 else "weak",
    )


def knowledge_of(catalog: Catalog) -> Knowledge:
    """Say of each provider what a busy gateway knows of it."""
    random = Random(1)
    return Knowledge(
        closed={next(iter(catalog)).provider: NOW_S + 30},
        latency={
            provider: LatencyStats(
                p50_ms=400.0,
                p95_ms=random.uniform(300, 6_000),
                ewma_ms=500.0,
                ttft_p95_ms=200.0,
                tokens_per_s=80.0,
                samples=100.0,
                updated_s=NOW_S - 2,
            )
            for provider in {model.provider for model in catalog}
        },
        expected_output={
            domain: {model.key: random.uniform(40, 900) for model in catalog} for domain in DOMAINS
        },
        evidence={
            domain: {model.key: Evidence(random.uniform(0, 40), random.uniform(0, 10)) for model in catalog}
            for domain in DOMAINS
        },
    )


def situations(count: int) -> Sequence[Situation]:
    """Make requests as they come: of all lengths, with and without limits, some with tools or images."""
    random = Random(2)
    return [
        Situation(
            prompt_tokens=max(1, round(random.lognormvariate(6.3, 1.3))),
            max_tokens=random.choice((None, None, 256, 512, 1_024, 4_096)),
            needs=random.choice(
                (frozenset(), frozenset({Need.STREAM}), frozenset({Need.STREAM, Need.TOOLS}))
            ),
            format=Format.CHAT,
            domain=random.choice(DOMAINS),
            latency="batch" if random.random() < 0.1 else "realtime",
            complexity=random.random(),
            requested_model="auto",
            consumer=f"consumer-{random.randrange(1_000)}",
            request_id=f"{random.randrange(10**12):x}",
            now_s=NOW_S,
        )
        for _ in range(count)
    ]
