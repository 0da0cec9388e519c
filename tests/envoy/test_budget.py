"""The budget guard in a real Envoy with two workers: caps that hold, and a ledger that is right."""

import contextlib
import json
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests

from ai_budget_guard.accounts import Hold, bring_to
from aigateway.money import usd
from aigateway.tokens import estimate_tokens
from aigateway.usage import Usage
from aigateway.windows import TOTAL
from nexus.controls import SeenRequest
from nexus.description import Retries
from nexus.load import http_request, run_load
from nexus.providers import count_tokens
from nexus.providers._answers import compose
from nexus.testing import RunningGateway, describe_gateway, describe_plugin, running_gateway
from nexus.wasmplugin import EnvironmentVariable

from .ledgers import GUARD, accounts, chain, charged, lifetime, metric, owners, price, wait_until

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


# Whatever happens, the ledger is what the providers' logs say

PROVIDERS = {
    "openai": "gpt-4.1-mini",
    "anthropic": "claude-haiku",
    "google": "gemini-flash",
    "moonshot": "kimi",
}
FAULTS: tuple[dict[str, object], ...] = (
    {"status": 503},
    {"status": 429, "retry_after_s": 1},
    {"reset": True},
    {"hang": True},
    {"cut_after_bytes": 700},
    {"cut_after_bytes": 2_500},
    {"cut_after_bytes": 0},
    {"token_interval_ms": 2},
    {"latency_ms": 30},
)
PATHS: dict[str, Callable[[str], dict[str, object]]] = {
    CHAT: lambda text: {"messages": [{"role": "user", "content": text}], "max_tokens": 40},
    "/v1/completions": lambda text: {"prompt": text, "max_tokens": 40},
    "/v1/responses": lambda text: {"input": text, "max_output_tokens": 40},
    "/v1/messages": lambda text: {"messages": [{"role": "user", "content": text}], "max_tokens": 40},
}
SHUT_S = 0.3
MIX_SLOTS = 64
BYTES_PER_TOKEN = 4
"""By which an answer in one piece is counted that broke off."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request of the mix, and what its client got."""

    test_id: str
    is_streamed: bool
    was_aborted: bool
    received: bytes

    @property
    def was_left_by_a_vm(self) -> bool:
        """Whether it looks as if the VM has died under it: an error of the proxy's, or half an answer."""
        head, _, body = self.received.partition(b"\r\n\r\n")
        if b"wasm_fail_stream" in body or not head:
            return True
        length = re.search(rb"\r\ncontent-length: (\d+)", head)
        return not body.endswith(b"0\r\n\r\n") if length is None else len(body) < int(length[1])


def send_one(port: int, number: int, dice: random.Random) -> Sent:
    """Send a request of any kind; perhaps leave at some byte of the answer."""
    provider = dice.choice(list(PROVIDERS))
    others = [name for name in PROVIDERS if name != provider]
    path = dice.choice(list(PATHS))
    is_streamed = dice.random() < 0.6
    leaves_at = dice.choice((None, None, None, 0, dice.randrange(200), dice.randrange(4_000)))
    text = f"Question {number}: {'word ' * dice.randrange(30)}"
    body = PATHS[path](text) | {"model": PROVIDERS[provider], "stream": is_streamed}
    headers = [
        ("x-test-id", str(number)),
        ("x-mse-consumer", str(number)),
        ("x-ai-prompt-tokens", str(count_tokens(text))),
        ("x-ai-model", PROVIDERS[provider]),
        ("x-ai-provider", provider),
        ("x-ai-cluster", provider),
        ("x-ai-fallbacks", ",".join(f"{name}/{PROVIDERS[name]}" for name in dice.sample(others, 2))),
        ("connection", "close"),
    ]
    received = bytearray()
    was_aborted = False
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(http_request("gateway", path, json.dumps(body).encode(), headers=headers))
        while True:
            if leaves_at is not None and len(received) >= leaves_at:
                # With linger on and no time for it, closing resets the connection.
                if dice.random() < 0.5:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                was_aborted = True
                break
            try:
                piece = connection.recv(65_536 if leaves_at is None else 97)
            except ConnectionResetError:
                break
            if not piece:
                break
            received += piece
    if b"wasm_fail_stream" in received:
        time.sleep(0.3)  # A worker is without its VM for about a second; not all requests shall meet that.
    return Sent(str(number), is_streamed, was_aborted, bytes(received))


def disturb(gateway: RunningGateway, over: threading.Event) -> None:
    """Have one provider after the other misbehave."""
    dice = random.Random(4)
    while not over.wait(0.05):
        control = gateway.providers[dice.choice(list(PROVIDERS))]
        control.set_fault(**(dice.choice(FAULTS) | {"rate": 0.5} if dice.random() < 0.6 else {}))
    for control in gateway.providers.values():
        control.set_fault()


def kill_vms(gateway: RunningGateway, over: threading.Event) -> None:
    """Let the VM of some worker trap, again and again."""
    dice = random.Random(5)
    while not over.wait(dice.uniform(0.2, 1)):
        with contextlib.suppress(requests.RequestException):
            requests.get(gateway.base_url, headers={"x-do": "abort"}, timeout=10)


def lost_cost(seen: SeenRequest, *, is_streamed: bool) -> int:
    """Say what an attempt did cost of which nothing reached the caller, by the provider's log."""
    if seen.usage is None:
        return 0
    tokens = 0 if is_streamed else -(-seen.bytes_sent // BYTES_PER_TOKEN)
    return price(model_of(seen), Usage(prompt_of(seen), tokens))


def possible_charges(attempts: list[tuple[str, SeenRequest]], sent: Sent) -> range | set[int]:
    """Say from the providers' logs what a request may have been charged; one amount if nobody aborted."""
    if not attempts:
        return {0}
    *failed, (provider, last) = attempts
    lost = sum(lost_cost(seen, is_streamed=sent.is_streamed) for _, seen in failed)
    found = possible_charges_of(last, provider, sent)
    if not lost and not (failed and sent.was_aborted):
        return found
    amounts = {lost + amount for amount in found}
    return amounts | set(possible_charges(failed, sent)) if sent.was_aborted else amounts


def possible_charges_of(seen: SeenRequest, provider: str, sent: Sent) -> range | set[int]:
    """Say the same of a single attempt, whose answer was the caller's."""
    model, prompt_tokens = model_of(seen), prompt_of(seen)
    body = json.loads(seen.body or b"{}")
    limit = body.get("max_tokens", body.get("max_output_tokens"))
    if seen.usage is None:  # An error, or nothing. Who leaves before that is known pays for the question.
        return {0, price(model, Usage(prompt_tokens, 0))} if sent.was_aborted else {0}
    complete = price(model, Usage(seen.usage["prompt_tokens"], seen.usage["completion_tokens"]))
    if seen.ended == "complete" and not sent.was_aborted:
        return {complete}
    if not sent.is_streamed:  # Of an answer in one piece as much is counted as was seen of it.
        if not sent.was_aborted:
            return {lost_cost(seen, is_streamed=False)}
        return range(
            price(model, Usage(prompt_tokens, 0)), price(model, Usage(prompt_tokens, seen.bytes_sent)) + 1
        )
    pieces = compose(provider, model, seen.body or b"", limit=limit).pieces
    seen_tokens = seen.usage["completion_tokens"]
    counts = range(seen_tokens + 1) if sent.was_aborted else range(seen_tokens, seen_tokens + 1)
    amounts = {
        price(model, Usage(prompt_tokens, max(count, estimate_tokens("".join(pieces[:count])))))
        for count in counts
    }
    return amounts | ({complete} if sent.was_aborted else set())


def model_of(seen: SeenRequest) -> str:
    model = json.loads(seen.body or b"{}")["model"]
    assert isinstance(model, str)
    return model


def prompt_of(seen: SeenRequest) -> int:
    return int(seen.header("x-ai-prompt-tokens") or 0)


def attempts_by_request(gateway: RunningGateway) -> dict[str, list[tuple[str, SeenRequest]]]:
    """Return the providers' logs by the id of the request, in the order of the attempts."""
    found: dict[str, list[tuple[str, SeenRequest]]] = {}
    for name, control in gateway.providers.items():
        for seen in control.requests():
            found.setdefault(seen.header("x-test-id") or "", []).append((name, seen))
    for attempts in found.values():
        attempts.sort(key=lambda attempt: attempt[1].time_s)
    return found


def left_under_way(gateway: RunningGateway) -> dict[str, int]:
    """Return what was reserved for requests whose VM has died under them, by their ids."""
    found = {}
    for line in gateway.access_log:
        entry = json.loads(line)
        budget = json.loads(entry["budget"] or "{}")
        if budget.get("basis") == "under_way":
            found[entry["consumer"]] = budget["reserved_nano_usd"]
    return found


def what_counts(gateway: RunningGateway, limits: Sequence[str]) -> list[Hold]:
    """Return the reservations that count: those of VMs that live."""
    lost, now_s = owners(gateway).lost, int(time.time())
    return [
        hold
        for limit in limits
        for account in accounts(gateway, limit).values()
        for hold in bring_to(account, TOTAL.span(now_s), 1, now_s, lost).holds
    ]


def test_whatever_happens_the_ledger_is_what_the_providers_logs_say(budget_module: Path) -> None:
    """Callers abort, providers fail, other providers are tried, VMs die: each request has its own account."""
    count = 2_000
    limits: list[dict[str, object]] = [
        {"name": "each", "limit_usd": 100, "window": "day"},
        {"name": "model", "per": "model", "limit_usd": 100, "window": "month", "timezone": "Asia/Tokyo"},
        {"name": "provider", "per": "provider", "limit_usd": 100},
        {"name": "all", "per": "all", "limit_usd": 100, "window": "rolling", "rolling_s": 3_600},
    ]
    shut_for = {**dict.fromkeys(("open_s", "open_limit_s", "rate_limit_s"), SHUT_S), "jitter": 0}
    breaker = {"attempts": "upstream", "shut_for": shut_for}
    plugins: dict[str, Mapping[str, object]] = {
        "ledger": {"slots": MIX_SLOTS},
        GUARD: {**chain(limits)[GUARD], "slots": MIX_SLOTS},
    }
    described = replace(
        describe_gateway(module=budget_module), retries=Retries(idle_s=0.5), access_log="stdout"
    )
    with running_gateway(plugins | {BREAKER: breaker}, gateway=described, workers=2) as gateway:
        over = threading.Event()
        troubles = [threading.Thread(target=trouble, args=(gateway, over)) for trouble in (disturb, kill_vms)]
        for trouble in troubles:
            trouble.start()
        dice = random.Random(7)
        seeds = [dice.randrange(2**31) for _ in range(count)]
        with ThreadPoolExecutor(32) as pool:
            sent = list(
                pool.map(
                    lambda number: send_one(gateway.port, number, random.Random(seeds[number])), range(count)
                )
            )
        over.set()
        for trouble in troubles:
            trouble.join()
        names = [str(limit["name"]) for limit in limits]
        wait_until(lambda: not what_counts(gateway, names), "no reservation counts any more", for_s=30)
        wait_until(lambda: metric(gateway, "reserved_nano_usd") == 0, "nor is it shown")

        records = charged(gateway)
        logs = attempts_by_request(gateway)
        left = left_under_way(gateway)
        spent = {name: account.lifetime_nano_usd for name, account in accounts(gateway).items()}
        kinds: Counter[str] = Counter()
        for request in sent:
            attempts = logs.get(request.test_id, [])
            record = records.get(request.test_id)
            amount = spent.get(request.test_id, 0)
            possible = possible_charges(attempts, request)
            kinds["failed over"] += len(attempts) > 1
            if record is None:  # Its VM has died, and with it what was known of the cost.
                assert request.was_aborted or request.was_left_by_a_vm, request
                assert amount == 0 or amount in possible
                kinds["died" if request.test_id in left else "refused without a VM"] += 1
                assert not attempts or request.test_id in left
                continue
            assert request.test_id not in left
            assert record.get("charged_nano_usd", 0) == amount
            kinds[str(record.get("basis", "never reserved"))] += 1
            if not attempts:
                kinds["never sent"] += 1
                assert amount == 0 or request.was_aborted
                continue
            assert amount in possible, (request, record, attempts, possible)
            kinds["exact" if len(possible) == 1 else "aborted"] += 1
            kinds["lost answers"] += "lost" in record
            if amount and not request.was_aborted and "lost" not in record:
                provider, seen = attempts[-1]
                assert record["model"] == f"{provider}/{model_of(seen)}"

        total = sum(spent.values())
        for name in names:
            assert lifetime(gateway, name) == total
        assert metric(gateway, "spent_nano_usd") == total
        print(f"{count} requests, {total} nano-USD: {dict(kinds)}")
        lost = owners(gateway).lost
        print(f"{len(lost)} VMs died, and with them charges of at most {sum(left.values())} nano-USD")
        assert len(lost) > 1
        assert 0 < kinds["died"] + kinds["refused without a VM"] < count / 5
        assert kinds["exact"] > count / 3
        assert kinds["aborted"] > count / 10
        assert kinds["failed over"] > count / 50
        assert min(kinds[basis] for basis in ("reported", "counted", "nothing")) > count / 50


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
