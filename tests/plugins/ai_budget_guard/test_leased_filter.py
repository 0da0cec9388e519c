"""The filter with a ledger in Redis: a real Redis and a real Webdis behind the emulated proxy."""

import json
from collections.abc import Iterator, Mapping
from typing import cast

import pytest
import requests
from redis import Redis

from ai_budget_guard.slots import every_account
from nexus.servers import RunningWebdis, running_redis, running_webdis
from proxytest import Answer, ConfigurationRefusedError, Exchange, Gateway, Received, Route

NAME = "ai-budget-guard"
METRICS = "ai_budget_guard"
CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
RESERVED = 51_000
COST = 20_900
CATALOG = [
    {
        "name": "small",
        "provider": "openai",
        "prices_nano_usd_per_token": {"input": 100, "output": 1_000},
        "quality": 0.5,
        "context_window_tokens": 1_000_000,
    }
]
ANSWER = {
    "choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 20},
}


@pytest.fixture(scope="module")
def webdis() -> Iterator[tuple[RunningWebdis, Redis]]:
    with (
        running_redis(("--appendonly", "no")) as server,
        running_webdis(server) as webdis,
        Redis.from_url(server.url, decode_responses=True) as client,
    ):
        yield webdis, client


class Shared:
    """A gateway with the guard, and what is in Redis."""

    def __init__(self, gateway: Gateway, webdis: RunningWebdis, redis: Redis) -> None:
        self.gateway, self.webdis, self.redis = gateway, webdis, redis
        self.commands: list[str] = []
        """What was sent to Webdis, each command by its first word."""
        gateway.cluster("webdis").respond_with(self.pass_on)
        gateway.upstream.respond(json=ANSWER)

    def pass_on(self, received: Received) -> Answer:
        """Do what the proxy does: send it to Webdis, and give back what that answers."""
        self.commands.append(received.body.partition(b"/")[0].decode())
        answer = requests.post(self.webdis.url, data=received.body, timeout=10)
        return Answer(status=answer.status_code, headers=JSON, chunks=(answer.content,), trailers={})

    def load(self, limits: object = None, **ledger: object) -> None:
        self.gateway.load(NAME, configuration(limits, **ledger))

    def ask(self, consumer: str = "alice", worker: int = 0, **more: object) -> Exchange:
        body = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 50} | more
        headers = {"x-mse-consumer": consumer, "x-ai-prompt-tokens": "10"}
        return self.gateway.post(CHAT, headers=headers, json=body, worker=worker)

    def wait(self, seconds: int) -> None:
        """Let time pass in steps in which Webdis can answer."""
        for _ in range(2 * seconds):
            self.gateway.advance(0.5)

    def fields(self, subject: str = "alice", limit: str = "each") -> dict[str, str]:
        return cast("dict[str, str]", self.redis.hgetall(f"nexus:budget:{limit}:{subject}"))

    def put(self, fields: Mapping[str, str]) -> None:
        """Write into the account of alice, as others might have."""
        for name, value in fields.items():
            self.redis.hset("nexus:budget:each:alice", name, value)

    def central(self, subject: str = "alice", limit: str = "each") -> tuple[int, int]:
        """Return what is spent and leased in Redis."""
        spent = leased = 0
        for name, value in self.fields(subject, limit).items():
            if name.startswith("spent:"):
                spent += int(value)
            elif name.startswith("lease:"):
                leased += int(value.split("|")[0])
        return spent, leased

    def said(self) -> list[str]:
        """Return what the log says of Redis."""
        messages = [record.message.removeprefix(f"[{NAME}] ") for record in self.gateway.logs]
        return [message for message in messages if message.startswith("redis is")]

    def metric(self, name: str) -> int:
        return self.gateway.metrics.get(f"{METRICS}.{name}", 0)


def configuration(limits: object = None, **ledger: object) -> dict[str, object]:
    return {
        "catalog": CATALOG,
        "prompt_margin_percent": 0,
        "slots": 1,
        "limits": limits or [{"name": "each", "limit_usd": "0.001"}],
        "ledger": {"kind": "redis", "cluster": "webdis", "lease_percent": 0} | ledger,
    }


@pytest.fixture
def shared(webdis: tuple[RunningWebdis, Redis]) -> Iterator[Shared]:
    server, client = webdis
    client.flushall()
    gateway = Gateway()
    gateway.configure(workers=2, routes=(Route(timeout_s=0),))
    yield Shared(gateway, server, client)
    gateway.close()


def error_code(exchange: Exchange) -> object:
    document = exchange.reply.json()
    assert isinstance(document, dict)
    return cast("Mapping[str, object]", document["error"])["code"]


def test_what_it_can_cost_is_leased_and_what_it_did_cost_is_told(shared: Shared) -> None:
    shared.load()
    shared.gateway.upstream.hold()

    exchange = shared.ask()

    assert shared.central() == (0, RESERVED)
    call = exchange.upstream_call
    assert call is not None
    call.start(headers=JSON)
    call.send(json.dumps(ANSWER).encode(), end=True)
    assert exchange.reply.json() == ANSWER
    assert shared.central() == (0, RESERVED)
    shared.wait(3)
    assert shared.central() == (COST, 0)
    assert shared.fields()["lifetime"] == str(COST)
    assert shared.redis.smembers("nexus:budget:accounts") == {"nexus:budget:each:alice"}
    assert shared.metric("reports") > 0


def test_the_script_is_sent_once(shared: Shared) -> None:
    shared.redis.script_flush()
    shared.load()

    shared.ask()
    shared.ask("bob")

    assert shared.commands == ["EVALSHA", "EVAL", "EVALSHA"]


def test_two_workers_share_a_lease(shared: Shared) -> None:
    shared.load(lease_percent=50)
    for number in range(4):
        shared.ask(worker=number % 2)

    assert len(shared.commands) < 4 + 1
    assert len([name for name in shared.fields() if name.startswith("lease:")]) == 1


def test_a_cap_is_spent_to_the_last_unit_and_no_further(shared: Shared) -> None:
    shared.load([{"name": "each", "limit_usd": "0.000357"}])
    full = ANSWER | {"usage": {"prompt_tokens": 10, "completion_tokens": 50}}
    shared.gateway.upstream.respond(json=full)

    replies = [shared.ask(worker=number % 2).reply for number in range(9)]

    assert [reply.status for reply in replies] == [200] * 7 + [429] * 2
    assert replies[-1].headers["x-should-retry"] == "false"
    budget = replies[-1].json()["error"]["budget"]  # type: ignore[index]
    assert budget["spent_usd"] == "0.000357"
    shared.wait(3)
    assert shared.central() == (357_000, 0)
    assert shared.ask("bob").reply.status == 200


def test_what_another_gateway_holds_is_refused_and_comes_back(shared: Shared) -> None:
    other = {"lease:ffff": f"940000|0|{2_000_000_000}|5", "window": "0", "from": "0"}
    shared.put(other)
    shared.load()
    shared.ask()

    refused = shared.ask().reply

    assert (refused.status, refused.headers["retry-after"]) == (429, "2")
    assert int(shared.fields()["wanted"]) > 0
    shared.redis.hset("nexus:budget:each:alice", "lease:ffff", f"0|0|{2_000_000_000}|6")
    assert shared.ask().reply.status == 200


def test_all_limits_are_asked_for_at_once(shared: Shared) -> None:
    limits = [{"name": name, "limit_usd": "0.001"} for name in ("one", "two", "three")]
    shared.load([*limits, {"name": "seen", "limit_usd": "0.00001", "shadow": True}])
    shared.ask()
    asked = len(shared.commands)

    shared.ask("bob")

    assert len(shared.commands) == asked + 1
    assert shared.metric("leases_asked") == 6
    shared.wait(3)
    assert [shared.central("bob", name)[0] for name in ("one", "two", "three", "seen")] == [COST] * 4
    assert shared.metric("shadow_refused.seen") == 2


def test_what_one_limit_refuses_is_given_back_under_the_others(shared: Shared) -> None:
    shared.load(
        [{"name": "each", "limit_usd": "0.001"}, {"name": "all", "per": "all", "limit_usd": "0.00006"}]
    )
    shared.ask()

    assert shared.ask("bob").reply.status == 429
    shared.wait(5)
    assert shared.central("bob") == (0, 0)
    assert shared.central("", "all") == (COST, 0)


def test_who_leaves_while_waiting_takes_nothing_along(shared: Shared) -> None:
    shared.load([{"name": "each", "limit_usd": "0.001"}, {"name": "all", "per": "all", "limit_usd": "0.001"}])
    shared.ask("bob")
    shared.gateway.cluster("webdis").hold()
    exchange = shared.ask()
    assert not exchange.has_reply

    exchange.abort()

    shared.gateway.cluster("webdis").respond_with(shared.pass_on)
    shared.wait(10)
    assert shared.central() == (0, 0)
    slot = shared.gateway.shared_data["lease/all/0"]
    assert [account.held_nano_usd for _, account in every_account(slot)] == [0]


def away(shared: Shared, status: int = 503) -> None:
    shared.gateway.cluster("webdis").respond(status)


@pytest.mark.parametrize("policy", ["local_only", "fail_open", "fail_closed"])
def test_without_redis_it_is_as_configured_and_all_of_it_is_told_later(shared: Shared, policy: str) -> None:
    shared.load([{"name": "each", "limit_usd": "0.00015"}], on_redis_away=policy)
    shared.ask()
    shared.wait(3)
    away(shared)

    replies = [shared.ask().reply for _ in range(6)]

    statuses = [reply.status for reply in replies]
    if policy == "fail_closed":
        assert statuses == [503] * 6
        assert replies[0].json()["error"]["code"] == "budget_unavailable"  # type: ignore[index]
        assert replies[0].headers["retry-after"] == "2"
    else:
        assert statuses == ([200] * 4 + [429] * 2 if policy == "local_only" else [200] * 6)
        assert shared.metric("admitted_beyond") == statuses.count(200)
    assert shared.metric("redis_away") == 1
    assert shared.metric("redis_failures") == 1  # Nobody waited for it again.
    shared.gateway.cluster("webdis").respond_with(shared.pass_on)
    shared.wait(8)
    assert shared.metric("redis_away") == 0
    assert shared.central() == ((1 + statuses.count(200)) * COST, 0)
    assert shared.said() == [f"redis is away: why=status 503 beyond_leases={policy}", "redis is back"]


def test_an_answer_that_is_lost_is_asked_for_again(shared: Shared) -> None:
    shared.load(on_redis_away="fail_closed")
    shared.ask("bob")

    def lose(received: Received) -> Answer:
        shared.pass_on(received)
        return Answer(status=504)

    shared.gateway.cluster("webdis").respond_with(lose)
    assert error_code(shared.ask()) == "budget_unavailable"
    assert shared.central() == (0, RESERVED)

    shared.gateway.cluster("webdis").respond_with(shared.pass_on)
    shared.wait(10)
    assert shared.central() == (0, 0)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(status=403), "Webdis does not allow EVALSHA: see `acl` in its configuration"),
        (Answer(chunks=(b"<html>",)), "the answer is none of Webdis"),
        (
            Answer(chunks=(b'{"EVALSHA":[false,"OOM command not allowed"]}',)),
            "Redis says OOM command not allowed",
        ),
        (Answer(chunks=(b'{"EVALSHA":["what"]}',)), "the script has another answer than it should"),
    ],
)
def test_whatever_is_wrong_with_redis_is_said_once(shared: Shared, answer: Answer, why: str) -> None:
    shared.load()
    shared.gateway.cluster("webdis").respond_with(lambda _: answer)

    assert shared.ask().reply.status == 200
    shared.wait(10)

    assert shared.said() == [f"redis is away: why={why} beyond_leases=local_only"]


def test_what_else_is_wrong_with_redis_is_said_too(shared: Shared) -> None:
    """Webdis comes back, but not as it should be."""
    shared.load()
    for status in (503, 403, 503):
        away(shared, status)
        shared.ask()
        shared.wait(5)

    assert shared.said() == [
        "redis is away: why=status 503 beyond_leases=local_only",
        "redis is still away: why=Webdis does not allow EVALSHA: see `acl` in its configuration",
    ]


def test_a_cluster_that_does_not_exist_is_redis_being_away(shared: Shared) -> None:
    shared.load(cluster="nowhere", on_redis_away="fail_closed")

    assert error_code(shared.ask()) == "budget_unavailable"


def test_a_reservation_that_lasts_is_renewed_and_so_is_its_lease(shared: Shared) -> None:
    shared.load(lease_s=3)
    shared.gateway.upstream.hold()
    exchange = shared.ask(stream=True)
    first = _lease(shared)
    shared.wait(3)

    renewed = _lease(shared)
    assert renewed[3] > first[3]
    assert renewed[2] >= first[2]
    assert shared.central() == (0, RESERVED)
    exchange.abort()


def _lease(shared: Shared) -> list[int]:
    """Return amount, window, expiry and number of the one lease there is."""
    (lease,) = [value for name, value in shared.fields().items() if name.startswith("lease:")]
    return [int(part) for part in lease.split("|")]


def test_what_a_worker_leaves_behind_another_one_finds(shared: Shared) -> None:
    shared.load()
    shared.ask(worker=0)
    shared.gateway.emulator.kill_vm(shared.gateway.emulator.plugins[0], worker=0)

    shared.wait(90)

    assert shared.central() == (COST, 0)


def test_the_router_is_told_what_redis_knows(shared: Shared) -> None:
    spent = {"spent:0": "900000", "window": "0", "from": "0"}
    shared.put(spent)
    shared.gateway.load(NAME, configuration() | {"role": "announce"})

    first, second = shared.ask(), shared.ask()

    for exchange in (first, second):
        assert exchange.upstream is not None
        assert exchange.upstream.headers["x-ai-budget-remaining"] == "0.0001"
    assert len(shared.commands) <= 2


def test_strange_subjects_have_accounts_of_their_own(shared: Shared) -> None:
    shared.load()
    names = ["a/b", "a:b", "a b%2F", "\xc3\xa9", "a.json", ""]

    for name in names:
        assert shared.ask(name).reply.status == 200
    shared.wait(3)

    keys = cast("set[str]", shared.redis.smembers("nexus:budget:accounts"))
    subjects = ["a/b", "a:b", "a b%2F", "\\xe9", "a.json", ""]
    assert keys == {f"nexus:budget:each:{subject}" for subject in subjects}
    assert all(shared.central(key.removeprefix("nexus:budget:each:")) == (COST, 0) for key in keys)


def test_higress_calls_need_higress(shared: Shared) -> None:
    with pytest.raises(ConfigurationRefusedError):
        shared.load(transport="higress")
    rule = {"_match_route_": ["chat"]} | configuration(None, transport="higress")
    with pytest.raises(ConfigurationRefusedError):
        shared.gateway.load(NAME, {"_rules_": [rule]})
