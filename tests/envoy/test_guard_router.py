"""The budget guard on both sides of the router: what cannot be paid for is not chosen."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
import requests

from aigateway.catalog import DEFAULT_CATALOG
from nexus.testing import RunningGateway, describe_plugin, running_gateway
from nexus.wasmplugin import read_plugins

from .ledgers import GUARD, accounts, chain, metric

ROUTER = "ai-cost-optimal-router"
CHAT = "/v1/chat/completions"
MAX_TOKENS = 200
LIMITS: list[dict[str, object]] = [
    {"name": "each", "limit_usd": 1, "subjects": {"spender": 0.012, "poor": "0.0000001"}}
]


@pytest.fixture(scope="module")
def gateway(budget_module: Path) -> Iterator[RunningGateway]:
    guard = chain(LIMITS, clamp_output_tokens=1_024)
    router = {"strategy": "quality_first", "quality_floor": 0, "trust_signals": True}
    announcer = describe_plugin(GUARD, {**guard[GUARD], "role": "announce"})
    plugins = [
        describe_plugin("ledger", guard["ledger"]),
        replace(announcer, name="ai-budget-announcer"),
        describe_plugin(ROUTER, router),
        describe_plugin(GUARD, guard[GUARD]),
    ]
    with running_gateway(plugins, module=budget_module, workers=2) as running:
        yield running


def ask(gateway: RunningGateway, who: str) -> requests.Response:
    said = {"messages": [{"role": "user", "content": "Is it going to rain?"}], "max_tokens": MAX_TOKENS}
    return requests.post(
        gateway.base_url + CHAT,
        json=said | {"model": "auto"},
        headers={"x-mse-consumer": who},
        timeout=20,
    )


def test_who_has_less_and_less_left_gets_cheaper_and_cheaper_models(gateway: RunningGateway) -> None:
    chosen = []
    while (answer := ask(gateway, "spender")).status_code == 200:
        chosen.append(answer.headers["x-ai-model"])
        assert len(chosen) < 200

    assert answer.json()["error"]["code"] == "budget_exceeded"
    assert answer.status_code == 429
    stages = [name for name, _ in groupby(chosen)]
    assert stages[0] == ask(gateway, "rich").headers["x-ai-model"], "with enough left, the best"
    assert len(stages) > 1
    prices = []
    for name in stages:
        model = DEFAULT_CATALOG.find(name)
        assert model is not None
        prices.append(model.prices.output)
    assert prices == sorted(prices, reverse=True)
    assert min(prices) == min(model.prices.output for model in DEFAULT_CATALOG), "down to the cheapest"
    assert accounts(gateway)["spender"].spent_nano_usd <= 12_000_000
    by_router = "wasmcustom.ai_cost_optimal_router.refused.budget_exceeded"
    assert metric(gateway, "refused.each") == gateway.admin.stats(by_router)[by_router], (
        "what the router takes for affordable, the guard does"
    )


def test_who_has_nothing_left_is_refused_for_the_budget(gateway: RunningGateway) -> None:
    answer = ask(gateway, "poor")

    assert answer.status_code == 429
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("budget_exceeded", "budget_exceeded")
    assert error["budget"]["name"] == "each"
    assert error["budget"]["left_usd"] == "0.0000001"
    assert answer.headers["x-should-retry"] == "false"
    assert "poor" not in accounts(gateway)


def test_no_provider_is_told_what_a_caller_has_left(gateway: RunningGateway) -> None:
    gateway.reset()

    assert ask(gateway, "rich").status_code == 200

    [seen] = [seen for control in gateway.providers.values() for seen in control.requests()]
    assert seen.header("x-ai-budget-remaining") is None


def test_the_announcer_that_is_shipped_has_the_limits_of_the_guard() -> None:
    plugins = {
        plugin.name: plugin for plugin in read_plugins(Path(__file__).parents[2] / "envoy" / "plugins")
    }
    announcer, guard = plugins["ai-budget-announcer"], plugins[GUARD]

    assert announcer.plugin_name == GUARD
    assert announcer.phase == guard.phase
    assert announcer.priority > plugins[ROUTER].priority > guard.priority
    said = {"role", "clamp_output_tokens"}
    same = [
        {key: value for key, value in plugin.config.items() if key not in said}
        for plugin in (announcer, guard)
    ]
    assert same[0] == same[1]
    assert plugins[ROUTER].config["unset_output_tokens"] == guard.config["clamp_output_tokens"]
