"""The budget guard in a real Envoy with two workers, while whatever can go wrong goes wrong, 2,000 times.

Callers abort, providers fail, other providers are tried, VMs die: in the end the ledger, the embedded one and
the one in Redis, is what the providers' own logs say, and nothing is reserved.
"""

import contextlib
import json
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, cast

import pytest
import requests
from redis import Redis

from ai_budget_guard.accounts import Hold, bring_to
from aigateway.tokens import estimate_tokens
from aigateway.usage import Usage
from aigateway.windows import TOTAL
from nexus.controls import SeenRequest
from nexus.description import Retries, Service
from nexus.load import http_request
from nexus.providers import count_tokens
from nexus.providers._answers import compose
from nexus.servers import running_redis, running_webdis
from nexus.testing import RunningGateway, describe_gateway, running_gateway

from .ledgers import GUARD, accounts, chain, charged, lifetime, metric, owners, price, wait_until

BREAKER = "ai-provider-circuit-breaker"
CHAT = "/v1/chat/completions"
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
PATIENCE_S = 15
"""Who waits for Redis in a VM that dies is told nothing: Envoy has nothing more to call the VM for."""
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
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
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
            except TimeoutError:
                assert not received, "an answer has come to a halt"
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


class Books(Protocol):
    """Where the accounts are."""

    @property
    def settings(self) -> Mapping[str, object]:
        """What the guard is told of it."""

    @property
    def services(self) -> tuple[Service, ...]:
        """What must be there for it."""

    def lifetimes(self, gateway: RunningGateway, limit: str) -> Mapping[str, int]:
        """Return what was ever charged, by subject; of accounts that were closed only the sum is known."""

    def wait_for_rest(self, gateway: RunningGateway, limits: Sequence[str]) -> None:
        """Wait until nothing is reserved any more, and everything is where it belongs."""

    def lifetime(self, gateway: RunningGateway, limit: str) -> int:
        """Return everything that was ever charged under a limit."""


class Embedded:
    """The accounts in shared data."""

    settings: Mapping[str, object] = MappingProxyType({})
    services: tuple[Service, ...] = ()

    def lifetimes(self, gateway: RunningGateway, limit: str) -> Mapping[str, int]:
        return {name: account.lifetime_nano_usd for name, account in accounts(gateway, limit).items()}

    def wait_for_rest(self, gateway: RunningGateway, limits: Sequence[str]) -> None:
        wait_until(lambda: not self._holds(gateway, limits), "no reservation counts any more", for_s=30)

    def lifetime(self, gateway: RunningGateway, limit: str) -> int:
        return lifetime(gateway, limit)

    def _holds(self, gateway: RunningGateway, limits: Sequence[str]) -> list[Hold]:
        """Return the reservations that count: those of VMs that live."""
        lost, now_s = owners(gateway).lost, int(time.time())
        return [
            hold
            for limit in limits
            for account in accounts(gateway, limit).values()
            for hold in bring_to(account, TOTAL.span(now_s), 1, now_s, lost).holds
        ]


@dataclass(frozen=True)
class InRedis:
    """The accounts in Redis, and leases of them in shared data."""

    client: Redis
    services: tuple[Service, ...]
    settings: Mapping[str, object]

    def lifetimes(self, gateway: RunningGateway, limit: str) -> Mapping[str, int]:
        return {subject: int(fields.get("lifetime", 0)) for subject, fields in self._accounts(limit).items()}

    def wait_for_rest(self, gateway: RunningGateway, limits: Sequence[str]) -> None:
        """Leases cover what is reserved, and what was spent and is not reported; so none may be left."""
        wait_until(lambda: not self._leased(limits), "nothing is leased any more", for_s=90)

    def lifetime(self, gateway: RunningGateway, limit: str) -> int:
        return sum(self.lifetimes(gateway, limit).values())

    def _leased(self, limits: Sequence[str]) -> int:
        return sum(
            int(value.partition("|")[0])
            for limit in limits
            for fields in self._accounts(limit).values()
            for name, value in fields.items()
            if name.startswith("lease:")
        )

    def _accounts(self, limit: str) -> dict[str, dict[str, str]]:
        prefix = f"nexus:budget:{limit}:"
        keys = sorted(self.client.scan_iter(f"{prefix}*", count=1_000))
        with self.client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hgetall(key)
            found = cast("list[dict[str, str]]", pipeline.execute())
        return {key.removeprefix(prefix): fields for key, fields in zip(keys, found, strict=True)}


@pytest.fixture(params=["embedded", "in Redis"])
def books(request: pytest.FixtureRequest) -> Iterator[Books]:
    """Both places."""
    if request.param == "embedded":
        yield Embedded()
        return
    with (
        running_redis() as redis,
        running_webdis(redis) as webdis,
        Redis.from_url(redis.url, decode_responses=True) as client,
    ):
        service = Service(name="webdis", host=webdis.host, port=webdis.port)
        yield InRedis(client, (service,), {"ledger": {"kind": "redis", "cluster": "webdis"}})


def test_whatever_happens_the_ledger_is_what_the_providers_logs_say(
    budget_module: Path, books: Books, record_property: Callable[[str, object], None]
) -> None:
    """Each request has its own account under the first of the limits."""
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
        GUARD: {**chain(limits)[GUARD], "slots": MIX_SLOTS, **books.settings},
    }
    described = replace(
        describe_gateway(module=budget_module),
        retries=Retries(idle_s=0.5),
        access_log="stdout",
        services=books.services,
    )
    with running_gateway(plugins | {BREAKER: breaker}, gateway=described, workers=2) as gateway:
        over = threading.Event()
        troubles = [threading.Thread(target=trouble, args=(gateway, over)) for trouble in (disturb, kill_vms)]
        for trouble in troubles:
            trouble.start()
        dice = random.Random(7)
        seeds = [dice.randrange(2**31) for _ in range(count)]
        try:
            with ThreadPoolExecutor(32) as pool:
                sent = list(
                    pool.map(
                        lambda number: send_one(gateway.port, number, random.Random(seeds[number])),
                        range(count),
                    )
                )
        finally:
            over.set()
            for trouble in troubles:
                trouble.join()
        names = [str(limit["name"]) for limit in limits]
        books.wait_for_rest(gateway, names)
        wait_until(lambda: metric(gateway, "reserved_nano_usd") == 0, "nor is it shown")

        records = charged(gateway)
        logs = attempts_by_request(gateway)
        left = left_under_way(gateway)
        spent = books.lifetimes(gateway, "each")
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
            assert books.lifetime(gateway, name) == total
        assert metric(gateway, "spent_nano_usd") == total
        lost = owners(gateway).lost
        record_property(
            "seen",
            f"{count} requests, {total} nano-USD: {dict(kinds)}; {len(lost)} VMs died, and with them what "
            f"requests did cost for which {sum(left.values())} nano-USD were reserved",
        )
        assert len(lost) > 1
        assert 0 < kinds["died"] + kinds["refused without a VM"] < count / 4
        assert kinds["exact"] > count / 5
        assert kinds["aborted"] > count / 20
        assert kinds["failed over"] > count / 100
        assert min(kinds[basis] for basis in ("reported", "counted", "nothing")) > count / 100
