"""The command ``budget`` beside two gateways that share a ledger in Redis."""

import contextlib
import csv
import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
import requests

from aigateway.money import usd
from aigateway.usage import Usage
from nexus.cli import main
from nexus.description import Service
from nexus.providers import count_tokens
from nexus.servers import RunningRedis, running_redis, running_webdis
from nexus.testing import RunningGateway, describe_gateway, running_gateway

from .ledgers import GUARD, price, price_of, wait_until

MODEL = "gpt-4.1-mini"
QUESTION = "Is it going to rain?"
ANSWER_TOKENS = 24
EACH_COSTS = price(MODEL, Usage(count_tokens(QUESTION), ANSWER_TOKENS))
LIMIT = 20 * EACH_COSTS
LEASE_S = 4


@dataclass(frozen=True)
class Shared:
    """Two gateways, their ledger, and the command that looks at it."""

    first: RunningGateway
    second: RunningGateway
    redis: RunningRedis
    capsys: pytest.CaptureFixture[str]

    def budget(self, *arguments: str) -> str:
        self.capsys.readouterr()
        assert main(["budget", *arguments, "--redis", self.redis.url]) == 0
        return self.capsys.readouterr().out

    def account(self, subject: str = "alice") -> dict[str, int]:
        """Return the amounts of an account, in nano-USD."""
        rows = csv.DictReader(StringIO(self.budget("export", "--format", "csv", "--subject", subject)))
        [row] = rows
        return {name: int(value) for name, value in row.items() if name.endswith("_nano_usd")}


def ask(gateway: RunningGateway) -> int:
    """Ask as alice what costs what is reserved for it."""
    body = {
        "model": MODEL,
        "max_tokens": ANSWER_TOKENS,
        "messages": [{"role": "user", "content": QUESTION}],
    }
    headers = {"x-mse-consumer": "alice", "x-ai-prompt-tokens": str(count_tokens(QUESTION))}
    url = f"{gateway.base_url}/v1/chat/completions"
    return requests.post(url, data=json.dumps(body), headers=headers, timeout=30).status_code


def admits(gateway: RunningGateway) -> bool:
    return ask(gateway) == 200


@pytest.fixture
def shared(budget_module: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Shared]:
    guard = {
        "limits": [{"name": "each", "limit_usd": usd(LIMIT)}],
        "prompt_margin_percent": 0,
        "ledger": {"kind": "redis", "cluster": "webdis", "lease_s": LEASE_S},
    }
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(running_redis())
        webdis = stack.enter_context(running_webdis(redis))
        services = (Service(name="webdis", host=webdis.host, port=webdis.port),)

        def start() -> RunningGateway:
            described = replace(describe_gateway(), services=services)
            return stack.enter_context(
                running_gateway({GUARD: guard}, gateway=described, module=budget_module)
            )

        yield Shared(start(), start(), redis, capsys)


def test_what_operators_set_counts_for_all_gateways_while_they_go_on(shared: Shared) -> None:
    gateways = (shared.first, shared.second)
    assert [ask(gateway) for gateway in gateways * 5] == [200] * 10
    wait_until(lambda: shared.account()["leased_nano_usd"] == 0, "what is not needed is given back")
    logged = [price_of(seen) for gateway in gateways for seen in gateway.providers["openai"].requests()]
    assert shared.account()["spent_nano_usd"] == sum(logged) == 10 * EACH_COSTS

    shared.budget("set", "each", "alice", "--spent", usd(LIMIT))
    assert [ask(gateway) for gateway in gateways] == [429, 429]

    shared.budget("reset", "each", "alice", "--yes")
    for gateway in gateways:
        wait_until(partial(admits, gateway), "who has heard that all is spent asks again")
    wait_until(lambda: shared.account()["spent_nano_usd"] == 2 * EACH_COSTS, "only that counts as spent")
    assert shared.account()["lifetime_nano_usd"] == 12 * EACH_COSTS
    assert [gateway.vm_crashes() for gateway in gateways] == [[], []]


def test_what_a_lost_gateway_held_can_be_given_back(shared: Shared) -> None:
    provider = shared.first.providers["openai"]
    provider.set_fault(hang=True)
    with ThreadPoolExecutor(16) as pool:
        for _ in range(16):
            pool.submit(ask, shared.first)
        wait_until(lambda: provider.requests_in_all() == 16, "16 are under way")
        assert shared.account()["leased_nano_usd"] >= 16 * EACH_COSTS

        os.kill(shared.first.envoy_pid, signal.SIGKILL)

    wait_until(
        lambda: shared.account()["lost_nano_usd"] >= 16 * EACH_COSTS, "they are lost", for_s=3 * LEASE_S
    )
    assert [ask(shared.second) for _ in range(5)] == [200] * 4 + [429]
    assert "lost by 1" in shared.budget("show")

    shared.budget("release", "--yes")

    assert [ask(shared.second) for _ in range(17)] == [200] * 16 + [429]
