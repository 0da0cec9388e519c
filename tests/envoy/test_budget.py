"""The budget guard in a real Envoy with two workers: caps that hold, and a ledger that is right."""

import json
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from aigateway.money import usd
from aigateway.usage import Usage
from nexus.load import http_request, run_load
from nexus.providers import count_tokens
from nexus.testing import describe_plugin, running_gateway
from nexus.wasmplugin import EnvironmentVariable

from .ledgers import accounts, chain, metric, owners, price, wait_until

BREAKER = "ai-provider-circuit-breaker"
CHAT = "/v1/chat/completions"
QUESTION = "Is it going to rain?"
QUESTION_TOKENS = count_tokens(QUESTION)


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
        {"name": "each", "limit_usd": usd(affordable * EACH_COSTS)},
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
        wait_until(lambda: metric(gateway, "reserved_nano_usd") == 0, "nothing is reserved")
        assert metric(gateway, "spent_nano_usd") == affordable * EACH_COSTS
        assert gateway.vm_crashes() == []


def test_each_of_three_processes_holds_its_own_cap_to_the_nano_dollar(budget_module: Path) -> None:
    """The ledger in shared data is one process's: three gateways let through three times the cap, no more."""
    affordable, processes = 100, 3
    limits: list[dict[str, object]] = [{"name": "each", "limit_usd": usd(affordable * EACH_COSTS)}]
    with ExitStack() as stack, ThreadPoolExecutor(processes) as pool:
        gateways = [
            stack.enter_context(running_gateway(chain(limits), module=budget_module, workers=2))
            for _ in range(processes)
        ]
        for gateway in gateways:
            gateway.providers["openai"].set_fault(latency_ms=10)

        results = list(
            pool.map(
                lambda gateway: run_load(
                    gateway.port, [exact_request(stream=False)], count=200, connections=21
                ),
                gateways,
            )
        )

        assert [result.completed for result in results] == [affordable] * processes
        assert [dict(result.errors) for result in results] == [{"status 429": 100}] * processes
        for gateway in gateways:
            account = accounts(gateway)["alice"]
            assert (account.spent_nano_usd, account.holds) == (affordable * EACH_COSTS, ())
            assert gateway.providers["openai"].requests_in_all() == affordable
            assert gateway.vm_crashes() == []


# Time


def test_a_minute_ends_under_load_and_nothing_is_lost_or_counted_twice(budget_module: Path) -> None:
    """Requests of the old minute that are answered in the new one are charged, and not to the new one."""
    affordable = 60
    limits: list[dict[str, object]] = [
        {"name": "each", "window": "minute", "limit_usd": usd(affordable * EACH_COSTS)},
        {"name": "all", "per": "all", "limit_usd": 1, "window": "rolling", "rolling_s": 60},
    ]
    with running_gateway(chain(limits), module=budget_module, workers=2) as gateway:
        gateway.providers["openai"].set_fault(latency_ms=1_500)
        boundary_s = time.time() // 60 * 60 + 60
        time.sleep(boundary_s - time.time() - 0.7)
        body = json.loads(exact_request(stream=False).partition(b"\r\n\r\n")[2])
        headers = {"x-mse-consumer": "alice", "x-ai-prompt-tokens": str(QUESTION_TOKENS)}

        def spend(_: int) -> Counter[int]:
            statuses: Counter[int] = Counter()
            with requests.Session() as session:
                while time.time() < boundary_s + 3:
                    answer = session.post(gateway.base_url + CHAT, json=body, headers=headers, timeout=30)
                    statuses[answer.status_code] += 1
                    if answer.status_code == 429:
                        time.sleep(0.05)
            return statuses

        with ThreadPoolExecutor(affordable + 4) as pool:
            statuses = sum(pool.map(spend, range(affordable + 4)), Counter())

        assert set(statuses) == {200, 429}
        assert statuses[200] == 2 * affordable
        account = accounts(gateway)["alice"]
        assert account.window_s == boundary_s
        assert account.spent == ((boundary_s, affordable * EACH_COSTS),)
        assert account.lifetime_nano_usd == 2 * affordable * EACH_COSTS
        assert account.holds == ()
        rolling = accounts(gateway, "all")[""]
        assert rolling.spent_nano_usd == rolling.lifetime_nano_usd == 2 * affordable * EACH_COSTS
        assert len(rolling.spent) > 1
        seen_s = [seen.status for seen in gateway.providers["openai"].requests()]
        assert seen_s == [200] * 2 * affordable


def test_what_a_vm_that_dies_had_reserved_counts_until_it_is_missed(budget_module: Path) -> None:
    limits: list[dict[str, object]] = [{"name": "each", "limit_usd": usd(4 * EACH_COSTS)}]
    with running_gateway(chain(limits), module=budget_module) as gateway, ExitStack() as stack:
        gateway.providers["openai"].set_fault(hang=True)
        ask = exact_request(stream=True)
        lost = [stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port))) for _ in range(3)]
        for connection in lost:
            connection.sendall(ask)
        wait_until(lambda: gateway.providers["openai"].requests_in_all() == 3, "three are asked")

        requests.get(gateway.base_url, headers={"x-do": "abort"}, timeout=10)
        wait_until(lambda: bool(gateway.vm_crashes()), "the VM has died")
        gateway.providers["openai"].set_fault()
        wait_until(
            lambda: run_load(gateway.port, [ask], count=1, connections=1).completed == 1, "a new VM is there"
        )

        assert run_load(gateway.port, [ask], count=1, connections=1).completed == 0, "it may be another's"
        account = accounts(gateway)["alice"]
        assert account.spent_nano_usd == EACH_COSTS
        assert account.reserved_nano_usd == 3 * EACH_COSTS
        assert owners(gateway).lost == {}
        wait_until(lambda: len(owners(gateway).lost) == 1, "the VM is missed", for_s=20)
        time.sleep(1.5)  # Every worker hears of it within a second.
        assert run_load(gateway.port, [ask], count=4, connections=1).completed == 3
        account = accounts(gateway)["alice"]
        assert (account.spent_nano_usd, account.reserved_nano_usd) == (4 * EACH_COSTS, 0)
        assert metric(gateway, "reserved_nano_usd") == 0


@pytest.mark.parametrize("what", ["configuration", "VM"])
def test_a_stream_keeps_its_reservation_while_everything_is_replaced(budget_module: Path, what: str) -> None:
    """The stream goes on for longer than a silent VM is waited for, in what was replaced."""
    limits: list[dict[str, object]] = [{"name": "each", "limit_usd": usd(EACH_COSTS)}]
    with running_gateway(chain(limits), module=budget_module, workers=2) as gateway:
        gateway.providers["openai"].set_fault(token_interval_ms=550)
        ask = exact_request(stream=True)
        with ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(run_load, gateway.port, [ask], count=1, connections=1)
            wait_until(lambda: "alice" in accounts(gateway), "it is reserved")
            plugins = [
                describe_plugin(name, config) for name, config in chain(limits, refusal_status=402).items()
            ]
            if what == "VM":  # All plugins share one, and so one environment.
                variable = EnvironmentVariable(name="EDITION", value="2")
                plugins = [replace(plugin, environment=(variable,)) for plugin in plugins]
            assert gateway.stack.change(gateway.stack.gateway, plugins).refusal is None

            while not under_way.done():
                assert accounts(gateway)["alice"].reserved_nano_usd == EACH_COSTS
                assert owners(gateway).lost == {}
                time.sleep(0.5)

            assert under_way.result().completed == 1
        assert accounts(gateway)["alice"].spent_nano_usd == EACH_COSTS
        assert gateway.vm_crashes() == []


def test_a_new_configuration_keeps_the_ledger_and_settles_what_was_under_way(budget_module: Path) -> None:
    def limits(amount: int) -> list[dict[str, object]]:
        return [{"name": "each", "limit_usd": usd(amount)}]

    with running_gateway(chain(limits(3 * EACH_COSTS)), module=budget_module, workers=2) as gateway:
        ask = exact_request(stream=True)
        gateway.providers["openai"].set_fault(latency_ms=1_500, count=2)
        with ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(run_load, gateway.port, [ask], count=2, connections=2)
            while gateway.providers["openai"].requests_in_all() < 2:
                time.sleep(0.02)
            assert accounts(gateway)["alice"].reserved_nano_usd == 2 * EACH_COSTS

            plugins = [
                describe_plugin(name, config) for name, config in chain(limits(5 * EACH_COSTS)).items()
            ]
            assert gateway.stack.change(gateway.stack.gateway, plugins).refusal is None
            assert not under_way.done()
            more = 0
            while more < 3:  # Until a worker has taken the new configuration over, its old limit holds.
                more += run_load(gateway.port, [ask], count=1, connections=1).completed
            assert run_load(gateway.port, [ask], count=4, connections=4).completed == 0

            assert under_way.result().completed == 2
        account = accounts(gateway)["alice"]
        assert account.spent_nano_usd == 5 * EACH_COSTS
        assert account.holds == ()
        wait_until(lambda: metric(gateway, "reserved_nano_usd") == 0, "nothing is reserved")
        assert gateway.vm_crashes() == []
