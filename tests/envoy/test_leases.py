"""The budget guard in real Envoys that share a ledger in a real Redis, through a real Webdis."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import cast

import pytest
import requests
from redis import Redis

from aigateway.money import usd
from aigateway.usage import Usage
from nexus.description import Service
from nexus.load import http_request, run_load
from nexus.providers import count_tokens
from nexus.servers import RunningRedis, RunningWebdis, running_redis, running_webdis
from nexus.testing import RunningGateway, describe_gateway, running_gateway
from wasmbuild.__main__ import main as wasmbuild

from .ledgers import GUARD, metric, price, wait_until

CHAT = "/v1/chat/completions"
MODEL = "gpt-4.1-mini"
ANSWER_TOKENS = 24
"""The fewest that a fake provider gives, so that every answer is as long as it may be."""
QUESTION = "Is it going to rain?"
QUESTION_TOKENS = count_tokens(QUESTION)


EACH_COSTS = price(MODEL, Usage(QUESTION_TOKENS, ANSWER_TOKENS))


@pytest.fixture(scope="session")
def lease_module(request: pytest.FixtureRequest) -> Path:
    """A module of the guard alone."""
    module = request.config.rootpath / "build" / "tests" / "leases.wasm"
    cache = module.parents[1] / ".wasmbuild"
    assert wasmbuild(["ai_budget_guard", "-o", str(module), "--cache", str(cache)]) == 0
    return module


@dataclass(frozen=True)
class Central:
    """Redis, and Webdis in front of it."""

    redis: RunningRedis
    webdis: RunningWebdis

    def fields(self, subject: str = "alice", limit: str = "each") -> dict[str, str]:
        """Return an account as it is in Redis."""
        with Redis.from_url(self.redis.url, decode_responses=True) as client:
            return cast("dict[str, str]", client.hgetall(f"nexus:budget:{limit}:{subject}"))

    def spent(self, subject: str = "alice", limit: str = "each") -> int:
        fields = self.fields(subject, limit)
        return sum(int(value) for name, value in fields.items() if name.startswith("spent:"))

    def leased(self, subject: str = "alice", limit: str = "each") -> list[int]:
        """Return the leases of all gateways."""
        fields = self.fields(subject, limit)
        return [int(value.split("|")[0]) for name, value in fields.items() if name.startswith("lease:")]


@pytest.fixture
def central() -> Iterator[Central]:
    with running_redis() as redis, running_webdis(redis) as webdis:
        yield Central(redis, webdis)


@contextmanager
def gateways(
    count: int,
    module: Path,
    central: Central,
    limits: Sequence[Mapping[str, object]],
    *,
    workers: int = 1,
    ledger: Mapping[str, object] = MappingProxyType({}),
) -> Iterator[list[RunningGateway]]:
    config = {
        "limits": list(limits),
        "slots": 8,
        "prompt_margin_percent": 0,
        "ledger": {"kind": "redis", "cluster": "webdis", **ledger},
    }
    webdis = Service(name="webdis", host="127.0.0.1", port=central.webdis.port)
    with ExitStack() as stack:
        running = []
        for _ in range(count):
            described = replace(describe_gateway(module=module), services=(webdis,))
            running.append(
                stack.enter_context(running_gateway({GUARD: config}, gateway=described, workers=workers))
            )
        yield running


def exact_request(consumer: str = "alice") -> bytes:
    """Make a request that costs what is reserved for it."""
    body = {
        "model": MODEL,
        "max_tokens": ANSWER_TOKENS,
        "messages": [{"role": "user", "content": QUESTION}],
    }
    headers = [("x-mse-consumer", consumer), ("x-ai-prompt-tokens", str(QUESTION_TOKENS))]
    return http_request("gateway", CHAT, json.dumps(body).encode(), headers=headers)


def served(gateway: RunningGateway) -> int:
    """Return what the providers' logs say that the answers did cost."""
    control = gateway.providers["openai"]
    usage = {"prompt_tokens": QUESTION_TOKENS, "completion_tokens": ANSWER_TOKENS}
    assert all(seen.usage == usage for seen in control.requests())
    return control.requests_in_all() * EACH_COSTS


def test_64_clients_spend_a_cap_to_the_nano_dollar_and_no_further(
    lease_module: Path, central: Central
) -> None:
    affordable = 300
    limits: list[dict[str, object]] = [
        {"name": "each", "limit_usd": usd(affordable * EACH_COSTS)},
        {"name": "all", "per": "all", "limit_usd": 1},
    ]
    with gateways(1, lease_module, central, limits, workers=2) as (gateway,):
        gateway.providers["openai"].set_fault(latency_ms=10)

        result = run_load(gateway.port, [exact_request()], count=500, connections=64)

        assert result.completed == affordable
        assert dict(result.errors) == {"status 429": 200}
        assert served(gateway) == affordable * EACH_COSTS
        wait_until(
            lambda: central.spent() == affordable * EACH_COSTS and central.leased() == [0],
            "all is spent and nothing leased",
            for_s=15,
        )
        wait_until(
            lambda: central.spent("", "all") == affordable * EACH_COSTS,
            "all is spent under the other limit",
            for_s=15,
        )
        wait_until(lambda: central.leased("", "all") == [0], "nothing is leased there", for_s=15)
        assert central.fields()["lifetime"] == str(affordable * EACH_COSTS)
        assert metric(gateway, "leases_asked") > 0
        assert metric(gateway, "redis_failures") == 0
        assert gateway.vm_crashes() == []


class Clients:
    """Clients that ask again when they are told to, until *over* says so."""

    def __init__(self, running: Sequence[RunningGateway], count: int, over: Callable[[], bool]) -> None:
        self._running = running
        self._over = over
        self._count = count
        self.statuses: Counter[int] = Counter()
        self.codes: Counter[str] = Counter()

    def __enter__(self) -> "Clients":
        self._pool = ThreadPoolExecutor(self._count)
        self._futures = [self._pool.submit(self._ask, number) for number in range(self._count)]
        return self

    def __exit__(self, *_: object) -> None:
        for future in self._futures:
            statuses, codes = future.result()
            self.statuses += statuses
            self.codes += codes
        self._pool.shutdown()

    def _ask(self, number: int) -> tuple[Counter[int], Counter[str]]:
        statuses: Counter[int] = Counter()
        codes: Counter[str] = Counter()
        body = json.loads(exact_request().partition(b"\r\n\r\n")[2])
        headers = {"x-mse-consumer": "alice", "x-ai-prompt-tokens": str(QUESTION_TOKENS)}
        gateway = self._running[number % len(self._running)]
        with requests.Session() as session:
            while not self._over():
                answer = session.post(gateway.base_url + CHAT, json=body, headers=headers, timeout=30)
                statuses[answer.status_code] += 1
                if answer.status_code != 200:
                    codes[answer.json()["error"]["code"]] += 1
                    if answer.headers.get("x-should-retry") == "false":
                        break
                    time.sleep(0.1)
        return statuses, codes


def test_three_gateways_spend_one_cap_to_the_nano_dollar(lease_module: Path, central: Central) -> None:
    affordable = 300
    limits = [{"name": "each", "limit_usd": usd(affordable * EACH_COSTS)}]
    with gateways(3, lease_module, central, limits, workers=2) as running:
        with Clients(running, 64, lambda: False) as clients:
            pass

        assert clients.statuses[200] == affordable
        assert set(clients.codes) == {"budget_exceeded"}
        by_gateway = [served(gateway) for gateway in running]
        assert sum(by_gateway) == affordable * EACH_COSTS
        assert min(by_gateway) > 0
        wait_until(
            lambda: central.spent() == affordable * EACH_COSTS and sum(central.leased()) == 0,
            "all is spent and nothing leased",
            for_s=15,
        )
        assert central.fields()["lifetime"] == str(affordable * EACH_COSTS)
        assert not any(gateway.vm_crashes() for gateway in running)


@pytest.mark.parametrize("on_redis_away", ["local_only", "fail_open", "fail_closed"])
def test_a_redis_that_crashes_loses_nothing_and_nothing_is_charged_twice(
    lease_module: Path, central: Central, on_redis_away: str
) -> None:
    limits = [{"name": "each", "limit_usd": 1}]
    policy = {"on_redis_away": on_redis_away, "lease_percent": 0, "timeout_s": 0.5}
    with gateways(1, lease_module, central, limits, ledger=policy, workers=2) as (gateway,):
        started = time.monotonic()
        with Clients([gateway], 16, lambda: time.monotonic() > started + 9) as clients:
            time.sleep(1.5)
            central.redis.kill()
            wait_until(lambda: metric(gateway, "redis_failures") > 0, "somebody has missed Redis", for_s=15)
            assert metric(gateway, "redis_away") == 1
            time.sleep(2.5)
            central.redis.start()

        assert set(clients.statuses) <= {200, 503}
        assert clients.statuses[200] > 100
        if on_redis_away == "fail_closed":
            assert set(clients.codes) == {"budget_unavailable"}
        else:
            assert set(clients.statuses) == {200}
            assert metric(gateway, "admitted_beyond") > 0
        assert served(gateway) == clients.statuses[200] * EACH_COSTS
        wait_until(
            lambda: central.spent() == served(gateway) and central.leased() == [0],
            "what was served is charged, and nothing leased",
            for_s=15,
        )
        assert central.fields()["lifetime"] == str(served(gateway))
        wait_until(lambda: metric(gateway, "redis_away") == 0, "everybody has found Redis again", for_s=15)
        assert sum("redis is away" in line for line in gateway.logs) <= 2 * 2
        assert gateway.vm_crashes() == []


def test_without_webdis_a_gateway_holds_to_what_it_knows(lease_module: Path, central: Central) -> None:
    affordable = 40
    limits = [{"name": "each", "limit_usd": usd(affordable * EACH_COSTS)}]
    with gateways(1, lease_module, central, limits, ledger={"timeout_s": 0.5}) as (gateway,):
        assert run_load(gateway.port, [exact_request()], count=10, connections=4).completed == 10
        wait_until(lambda: central.spent() == 10 * EACH_COSTS, "what was spent is said", for_s=15)
        central.webdis.kill()

        result = run_load(gateway.port, [exact_request()], count=50, connections=4)

        assert result.completed == 30
        assert dict(result.errors) == {"status 429": 20}
        assert central.spent() == 10 * EACH_COSTS
        central.webdis.start()
        wait_until(
            lambda: central.spent() == affordable * EACH_COSTS and central.leased() == [0],
            "all is spent and nothing leased",
            for_s=15,
        )


@pytest.mark.parametrize("on_lost_lease", ["charge", "return"])
def test_the_lease_of_a_gateway_that_dies(lease_module: Path, central: Central, on_lost_lease: str) -> None:
    affordable = 20
    limits = [{"name": "each", "limit_usd": usd(affordable * EACH_COSTS)}]
    policy = {"on_lost_lease": on_lost_lease, "lease_s": 3, "lease_percent": 0}
    with (
        gateways(2, lease_module, central, limits, ledger=policy) as (dies, lives),
        ThreadPoolExecutor(5) as pool,
    ):
        dies.providers["openai"].set_fault(hang=True)
        for _ in range(5):
            pool.submit(run_load, dies.port, [exact_request()], count=1, connections=1)
        wait_until(
            lambda: dies.providers["openai"].requests_in_all() == 5, "five requests are under way", for_s=15
        )
        assert sum(central.leased()) == 5 * EACH_COSTS
        os.kill(dies.envoy_pid, signal.SIGKILL)
        assert run_load(lives.port, [exact_request()], count=20, connections=4).completed == 15
        time.sleep(4)

        later = run_load(lives.port, [exact_request()], count=20, connections=4).completed

        assert later == (5 if on_lost_lease == "return" else 0)
        spent = (15 + later) * EACH_COSTS
        wait_until(
            lambda: central.spent() == spent and min(central.leased()) == 0,
            "all is said, and only the dead gateway has a lease",
            for_s=15,
        )
        assert max(central.leased()) == 5 * EACH_COSTS


def test_a_minute_ends_under_load_in_three_gateways(lease_module: Path, central: Central) -> None:
    affordable = 90
    limits = [{"name": "each", "window": "minute", "limit_usd": usd(affordable * EACH_COSTS)}]
    with gateways(3, lease_module, central, limits) as running:
        for gateway in running:
            gateway.providers["openai"].set_fault(latency_ms=300)
        boundary_s = (time.time() + 8) // 60 * 60 + 60
        time.sleep(boundary_s - time.time() - 8)

        with Clients(running, 48, lambda: time.time() > boundary_s + 8) as clients:
            pass

        assert clients.statuses[200] == 2 * affordable
        assert set(clients.codes) == {"budget_exceeded"}
        spent = affordable * EACH_COSTS
        wait_until(
            lambda: central.spent() == spent and central.fields()["lifetime"] == str(2 * spent),
            "what was spent in both minutes is said",
            for_s=15,
        )
        wait_until(lambda: sum(central.leased()) == 0, "nothing is leased", for_s=15)
        assert int(central.fields()["window"]) == boundary_s
