"""Short ways to say a model, a catalog and a decision."""

from collections.abc import Callable
from typing import Any

from ai_cost_optimal_router import Choice, Config, Knowledge, RefusedError, Router, Situation
from aigateway.catalog import Catalog, Model, Prices
from aigateway.health import LatencyStats
from aigateway.refusals import Refusal

NOW_S = 1_790_000_000.0
NOBODY_KNOWS = Knowledge()


def never() -> float:
    """Stand in for random numbers where none must be drawn."""
    raise AssertionError("a random number was drawn")


def a_model(name: str, *, provider: str = "p", input: int = 100, output: int = 400, **others: Any) -> Model:
    settings: dict[str, Any] = {
        "quality": 0.8,
        "context_window_tokens": 100_000,
        "cluster": provider,
        "upstream_name": name,
        **others,
    }
    prices = Prices(input=input, output=output, cached_input=input, cache_write=input)
    return Model(name=name, provider=provider, prices=prices, **settings)


def a_router(*models: Model, **settings: Any) -> Router:
    """Make a router; *settings* as in the configuration of an operator."""
    config = Config.from_json(settings)
    if not models:
        return Router(config)
    values = {name: getattr(config, name) for name in Config.__slots__}
    return Router(Config(**{**values, "catalog": Catalog(models)}))


def choose(
    router: Router,
    knowledge: Knowledge = NOBODY_KNOWS,
    draw: Callable[[], float] = never,
    **situation: Any,
) -> Choice:
    return router.choose(Situation(**{"now_s": NOW_S, **situation}), knowledge, draw)


def names(choice: Choice) -> list[str]:
    """Name the choice and its fallbacks."""
    return [model.name for model in (choice.model, *choice.fallbacks)]


def refusal(router: Router, knowledge: Knowledge = NOBODY_KNOWS, **situation: Any) -> Refusal:
    return refused(router, knowledge, **situation).refusal


def refused(router: Router, knowledge: Knowledge = NOBODY_KNOWS, **situation: Any) -> RefusedError:
    try:
        choice = choose(router, knowledge, **situation)
    except RefusedError as error:
        return error
    raise AssertionError(f"not refused, but sent to {choice.model.name}")


def a_latency(p95_ms: float, *, age_s: float = 0.0, samples: float = 1e9) -> LatencyStats:
    return LatencyStats(
        p50_ms=p95_ms / 2,
        p95_ms=p95_ms,
        ewma_ms=p95_ms / 2,
        ttft_p95_ms=p95_ms / 4,
        tokens_per_s=50.0,
        samples=samples,
        updated_s=NOW_S - age_s,
    )
