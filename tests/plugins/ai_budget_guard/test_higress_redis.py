"""The ledger's way to Redis through Higress: the emulated one, and a real Redis."""

import json
from collections.abc import Iterator

import pytest
from redis import Redis

from ai_budget_guard.central import CentralError, execute
from ai_budget_guard.higress_redis import HigressRedis
from ai_budget_guard.lease import Call
from proxytest import HIGRESS, Gateway
from proxywasm import HttpFilter, Outcome, Reply, Request, plugin

INDEX, ACCOUNT = "budget:accounts", "budget:each:alice"


@plugin("lease-asker")
class LeaseAsker(HttpFilter[dict[str, str]]):
    """Asks for a lease for each request."""

    async def on_request_headers(self, request: Request) -> Outcome:
        cluster = self.config.get("cluster", "redis")
        central = HigressRedis(self, cluster=cluster, timeout_s=1, username="", password="")
        call = Call(int(request.headers["x-number"]), 0, 0, 1_000, 0, 0, lacks_nano_usd=100)
        try:
            (answer,) = await execute(
                central,
                [(ACCOUNT, call)],
                index=INDEX,
                gateway="a",
                lease_s=30,
                on_lost_lease="charge",
            )
        except CentralError as error:
            return Reply.json(503, {"code": error.code, "reason": str(error)})
        return Reply.json(200, [answer.number, answer.lease_nano_usd, answer.leased_nano_usd])


@pytest.fixture
def gateway(redis: Redis) -> Iterator[Gateway]:
    made = Gateway(profile=HIGRESS)
    address = redis.connection_pool.connection_kwargs
    made.redis("redis", address["host"], address["port"])
    yield made
    made.close()


def ask(gateway: Gateway, number: int) -> object:
    return json.loads(gateway.get("/", headers={"x-number": str(number)}).reply.body)


def test_leases_come_and_the_script_is_sent_once(gateway: Gateway, redis: Redis) -> None:
    redis.script_flush()
    gateway.load("lease-asker")

    assert [ask(gateway, 1), ask(gateway, 2), ask(gateway, 2)] == [
        [1, 100, 100],
        [2, 100, 100],
        [2, 100, 100],
    ]
    assert [query.split(b"\r\n")[2] for query in gateway.emulator.redis.queries] == [
        b"EVALSHA",
        b"EVAL",
        b"EVALSHA",
        b"EVALSHA",
    ]


def test_what_redis_refuses_has_its_code(gateway: Gateway, redis: Redis) -> None:
    redis.set(ACCOUNT, "no hash")
    gateway.load("lease-asker")

    refused = ask(gateway, 1)

    assert isinstance(refused, dict)
    assert refused["code"] in {"ERR", "WRONGTYPE"}
    assert refused["reason"] == f"Redis says {refused['code']}"


def test_no_cluster_is_no_answer(gateway: Gateway) -> None:
    gateway.load("lease-asker", {"cluster": "nowhere"})

    assert ask(gateway, 1) == {"code": "", "reason": "refused: the proxy has no such cluster"}


@pytest.mark.parametrize(
    ("cluster", "sent"),
    [
        ("redis", "redis?buffer_flush_timeout=0&max_buffer_size_before_flush=0"),
        ("redis?db=1", "redis?db=1"),
    ],
)
def test_commands_are_sent_at_once_unless_the_operator_has_options(cluster: str, sent: str) -> None:
    seen: list[str] = []

    class Calls:
        async def redis_call(self, cluster: str, command: object, **settings: object) -> object:
            seen.append(cluster)
            return b"PONG"

    central = HigressRedis(Calls(), cluster=cluster, timeout_s=1, username="", password="")
    with pytest.raises(StopIteration):
        central.command(["PING"]).send(None)

    assert seen == [sent]
