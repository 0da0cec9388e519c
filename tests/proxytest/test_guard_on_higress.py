"""The budget guard with its ledger in a real Redis, by the calls of Higress: natively and as a module."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from redis import Redis

from ai_budget_guard.script import DIGEST
from nexus.servers import RunningRedis, running_redis
from proxytest import HIGRESS, ConfigurationRefusedError, Exchange, Gateway, WasmModule
from wasmbuild.__main__ import main as wasmbuild

NAME = "ai-budget-guard"
BUILD = Path(__file__).parents[2] / "build"
PASSWORD = "open sesame"
ACCOUNT = "nexus:budget:each:alice"

LIMIT, RESERVED, COST = 1_000_000, 10 * 100 + 50 * 1_000, 9 * 100 + 20 * 1_000
"""In nano-USD: what alice may spend, what a request by `ask` can cost, and what it does cost."""

CONFIG: dict[str, object] = {
    "catalog": [
        {
            "name": "small",
            "provider": "openai",
            "prices_nano_usd_per_token": {"input": 100, "output": 1_000},
            "quality": 0.5,
            "context_window_tokens": 1_000_000,
        }
    ],
    "prompt_margin_percent": 0,
    "slots": 1,
    "limits": [{"name": "each", "limit_usd": "0.001"}],
    "ledger": {"kind": "redis", "transport": "higress", "cluster": "redis", "password": PASSWORD},
}
ANSWER = {
    "id": "1",
    "choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 20, "total_tokens": 29},
}


@pytest.fixture
def server() -> Iterator[RunningRedis]:
    with running_redis(("--requirepass", PASSWORD)) as running:
        yield running


@pytest.fixture
def redis(server: RunningRedis) -> Iterator[Redis]:
    """A client that looks at what is in Redis."""
    with Redis(host=server.host, port=server.port, password=PASSWORD, decode_responses=True) as client:
        yield client


@pytest.fixture(scope="session")
def module() -> WasmModule:
    path = BUILD / "tests" / "guard.higress.wasm"
    arguments = ["ai_budget_guard", "--host", "higress", "-o", str(path)]
    assert wasmbuild([*arguments, "--cache", str(BUILD / ".wasmbuild")]) == 0
    return WasmModule.from_file(path)


@pytest.fixture(params=["native", "wasm"])
def new_proxy(request: pytest.FixtureRequest, server: RunningRedis) -> Iterator[Callable[[], Gateway]]:
    """Makes proxies that have nothing in common but Redis."""
    made: list[Gateway] = []

    def make() -> Gateway:
        module = request.getfixturevalue("module") if request.param == "wasm" else None
        proxy = Gateway(host=request.param, module=module, profile=HIGRESS)
        made.append(proxy)
        proxy.redis("redis", server.host, server.port)
        proxy.load(NAME, CONFIG)
        proxy.upstream.respond(json=ANSWER)
        return proxy

    yield make
    for proxy in made:
        proxy.close()


def ask(proxy: Gateway) -> Exchange:
    body = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 50}
    headers = {"x-mse-consumer": "alice", "x-ai-prompt-tokens": "10"}
    return proxy.post("/v1/chat/completions", headers=headers, json=body)


def spent(redis: Redis) -> int:
    """Return what alice has spent, by Redis; no lease may be left."""
    account = cast(dict[str, str], redis.hgetall(ACCOUNT))
    assert [lease for name, lease in account.items() if name.startswith("lease:") and lease[:2] != "0|"] == []
    return sum(int(amount) for name, amount in account.items() if name.startswith("spent:"))


def test_two_proxies_spend_one_budget_to_the_last_request(
    new_proxy: Callable[[], Gateway], redis: Redis
) -> None:
    proxies = [new_proxy(), new_proxy()]
    admitted = 0
    while (exchange := ask(proxies[admitted % 2])).reply.status == 200:
        admitted += 1
        for proxy in proxies:
            proxy.advance(4)  # What is left of a lease goes back.

    assert admitted == (LIMIT - RESERVED) // COST + 1
    assert spent(redis) == admitted * COST
    assert exchange.upstream is None
    assert exchange.reply.status == 429
    assert ask(proxies[0]).reply.status == ask(proxies[1]).reply.status == 429
    assert redis.script_exists(DIGEST) == [True]


def test_what_is_spent_while_redis_is_away_is_charged_when_it_is_back(
    new_proxy: Callable[[], Gateway], server: RunningRedis, redis: Redis
) -> None:
    proxy = new_proxy()
    assert ask(proxy).reply.status == 200

    server.kill()
    assert [ask(proxy).reply.status for _ in range(3)] == [200] * 3
    proxy.advance(3)
    assert proxy.metrics["ai_budget_guard.redis_away"] == 1
    server.start()
    proxy.advance(10)

    assert proxy.metrics["ai_budget_guard.redis_away"] == 0
    assert spent(redis) == 4 * COST
    assert PASSWORD not in str(proxy.logs)


def test_a_proxy_without_the_calls_refuses_the_transport() -> None:
    with pytest.raises(ConfigurationRefusedError):
        Gateway().load(NAME, CONFIG)
