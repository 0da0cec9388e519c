"""The budget guard in a real Envoy with two workers: caps that hold, and a ledger that is right."""

import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from ai_budget_guard.accounts import Account
from ai_budget_guard.slots import closed_nano_usd, every_account
from aigateway.catalog import DEFAULT_CATALOG
from aigateway.tokens import estimate_tokens
from aigateway.usage import Usage
from nexus.controls import SeenRequest
from nexus.load import http_request, run_load
from nexus.providers import count_tokens
from nexus.providers._answers import compose
from nexus.testing import RunningGateway, running_gateway
from wasmbuild.__main__ import main as wasmbuild

GUARD = "ai-budget-guard"
BREAKER = "ai-provider-circuit-breaker"
METRICS = "wasmcustom.ai_budget_guard"
CHAT = "/v1/chat/completions"
FILTER = Path(__file__).parent / "filters" / "ledger_filter.py"
SLOTS = 8
QUESTION = "Is it going to rain?"
QUESTION_TOKENS = count_tokens(QUESTION)


@pytest.fixture(scope="session")
def budget_module(request: pytest.FixtureRequest) -> Path:
    """A module of the guard, the breaker, and a filter that shows the ledger."""
    module = request.config.rootpath / "build" / "tests" / "budget.wasm"
    cache = module.parents[1] / ".wasmbuild"
    plugins = ["ai_budget_guard", "ai_provider_circuit_breaker", str(FILTER)]
    assert wasmbuild([*plugins, "-o", str(module), "--cache", str(cache)]) == 0
    return module


def chain(limits: list[dict[str, object]], **more: object) -> dict[str, Mapping[str, object]]:
    config = {"limits": limits, "slots": SLOTS, "prompt_margin_percent": 0} | more
    return {"ledger": {"slots": SLOTS}, GUARD: config}


def accounts(gateway: RunningGateway, limit: str = "each") -> dict[str, Account]:
    answer = requests.get(f"{gateway.base_url}/__ledger/{limit}", timeout=10)
    return dict(account for slot in answer.content.split(b"\0") for account in every_account(slot or None))


def lifetime(gateway: RunningGateway, limit: str) -> int:
    """Return everything that was ever charged under a limit."""
    slots = requests.get(f"{gateway.base_url}/__ledger/{limit}", timeout=10).content.split(b"\0")
    opened = (account for slot in slots for _, account in every_account(slot or None))
    return sum(map(closed_nano_usd, slots)) + sum(account.lifetime_nano_usd for account in opened)


def price(model: str, usage: Usage) -> int:
    found = DEFAULT_CATALOG.find(model)
    assert found is not None
    return found.prices.cost(usage)


def metric(gateway: RunningGateway, name: str) -> int:
    return gateway.admin.stats(f"{METRICS}.{name}").get(f"{METRICS}.{name}", 0)


# A cap that pays for exactly so many requests

MODEL = "gpt-4.1-mini"
ANSWER_TOKENS = 24
"""The fewest that a fake provider gives, so that every answer is as long as it may be."""
EACH_COSTS = price(MODEL, Usage(QUESTION_TOKENS, ANSWER_TOKENS))


def exact_request(model: str = MODEL, *, stream: bool, consumer: str = "alice") -> bytes:
    """Make a request that costs what is reserved for it."""
    body = {
        "model": model,
        "max_tokens": ANSWER_TOKENS,
        "stream": stream,
        "messages": [{"role": "user", "content": QUESTION}],
    }
    headers = [("x-mse-consumer", consumer), ("x-ai-prompt-tokens", str(QUESTION_TOKENS))]
    return http_request("gateway", CHAT, json.dumps(body).encode(), headers=headers)


@pytest.mark.parametrize("stream", [False, True])
def test_64_clients_spend_a_cap_to_the_nano_dollar_and_no_further(budget_module: Path, stream: bool) -> None:
    affordable = 300
    limits: list[dict[str, object]] = [
        {"name": "each", "limit_usd": f"{affordable * EACH_COSTS / 1e9:.9f}"},
        {"name": "all", "per": "all", "limit_usd": 1},
    ]
    with running_gateway(chain(limits), module=budget_module, workers=2) as gateway:
        gateway.providers["openai"].set_fault(latency_ms=10)

        result = run_load(gateway.port, [exact_request(stream=stream)], count=500, connections=64)

        assert result.completed == affordable
        assert dict(result.errors) == {"status 429": 200}
        account = accounts(gateway)["alice"]
        assert account.spent_nano_usd == affordable * EACH_COSTS
        assert account.holds == ()
        assert accounts(gateway, "all")[""].spent_nano_usd == affordable * EACH_COSTS
        usages = [seen.usage for seen in gateway.providers["openai"].requests()]
        assert usages == [{"prompt_tokens": QUESTION_TOKENS, "completion_tokens": ANSWER_TOKENS}] * affordable
        assert metric(gateway, "lost_races") > 0
        assert metric(gateway, "reserved_nano_usd") == 0
        assert metric(gateway, "spent_nano_usd") == affordable * EACH_COSTS
        assert gateway.vm_crashes() == []
