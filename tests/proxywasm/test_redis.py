"""What the SDK asks of Higress for a call to Redis, and what it makes of the answer."""

import pytest

from proxywasm import CalloutError, HttpFilter, Outcome, PluginContext, RedisError, Reply, Request, UsageError
from proxywasm._abi import Status
from proxywasm._dispatch import Dispatcher

from .fake_host import FakeHost
from .worker import Worker, definition

PING = b"*1\r\n$4\r\nPING\r\n"


class Pings(HttpFilter[dict[str, str]]):
    """Answers with what Redis said."""

    async def on_request_headers(self, request: Request) -> Outcome:
        try:
            answer = await self.redis_call(
                self.config.get("cluster", "redis"),
                ["PING"],
                timeout_s=0.25,
                username=self.config.get("username", ""),
                password=self.config.get("password", ""),
            )
        except (CalloutError, RedisError) as error:
            return Reply(status=503, body=str(error).encode())
        return Reply(status=200, body=repr(answer).encode())


def bodies(host: FakeHost) -> list[bytes]:
    return [reply.body for reply in host.local_responses]


def test_a_worker_introduces_itself_once_and_asks_each_time() -> None:
    worker = Worker(definition(Pings), {"cluster": "redis?db=3", "username": "ann", "password": "hers"})

    first, second = worker.stream(), worker.stream()
    assert (first.request_headers(), second.request_headers()) == (4, 4)
    worker.answer_redis(11, b":2\r\n")
    worker.answer_redis(7, b"+PONG\r\n")

    assert worker.host.redis_introductions == [(b"redis?db=3", b"ann", b"hers", 250)]
    assert worker.host.redis_queries == [(b"redis", PING), (b"redis", PING)]
    assert [(reply.context, reply.body) for reply in worker.host.local_responses] == [
        (second.context, b"2"),
        (first.context, b"b'PONG'"),
    ]


def test_other_settings_are_introduced_anew() -> None:
    host = FakeHost()
    worker = Worker(definition(Pings), {"password": "old"}, host)
    worker.stream().request_headers()
    worker.add_root(50, {"password": "new"})
    worker.stream(root=50).request_headers()

    assert [password for _, _, password, _ in host.redis_introductions] == [b"old", b"new"]


@pytest.mark.parametrize(
    ("call", "status", "reason"),
    [
        ("redis_init", Status.BAD_ARGUMENT, "the proxy has no such cluster"),
        ("redis_call", Status.BAD_ARGUMENT, "the proxy has no such cluster"),
        ("redis_call", Status.INTERNAL_FAILURE, "there is no endpoint in the cluster"),
        ("redis_call", 77, "status 77"),
    ],
)
def test_a_refusal_is_a_callout_error_and_the_next_call_begins_again(
    call: str, status: int, reason: str
) -> None:
    worker = Worker(definition(Pings))
    worker.host.statuses[call] = status
    worker.stream().request_headers()
    del worker.host.statuses[call]
    worker.stream().request_headers()

    assert bodies(worker.host) == [f"callout to 'redis': refused: {reason}".encode()]
    assert len(worker.host.redis_introductions) == 2


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (1, b"", b"callout to 'redis': no answer: the connection failed, or the time was up"),
        (0, b"", b"callout to 'redis': the answer of Redis breaks off within a line"),
        (0, b"-LOADING Redis is loading\r\n", b"Redis answered with the error LOADING"),
    ],
)
def test_what_is_no_answer_raises(status: int, answer: bytes, said: bytes) -> None:
    worker = Worker(definition(Pings))
    worker.stream().request_headers()

    worker.answer_redis(7, answer, status=status)

    assert bodies(worker.host) == [said]


def test_an_answer_for_a_stream_that_has_ended_is_ignored() -> None:
    worker = Worker(definition(Pings))
    stream = worker.stream()
    stream.request_headers()
    stream.finish()

    worker.answer_redis(7, b"+PONG\r\n")

    assert (worker.host.local_responses, worker.kept()) == ([], 0)


def test_noauth_is_met_by_one_more_introduction_and_not_by_two() -> None:
    worker = Worker(definition(Pings), {"password": "secret"})
    worker.stream().request_headers()

    worker.answer_redis(7, b"-NOAUTH Authentication required.\r\n")
    assert (len(worker.host.redis_introductions), len(worker.host.redis_queries)) == (2, 2)
    worker.answer_redis(11, b"-NOAUTH Authentication required.\r\n")

    assert bodies(worker.host) == [b"Redis answered with the error NOAUTH"]
    assert len(worker.host.redis_queries) == 2


def test_without_a_password_noauth_is_final() -> None:
    worker = Worker(definition(Pings))
    worker.stream().request_headers()

    worker.answer_redis(7, b"-NOAUTH Authentication required.\r\n")

    assert bodies(worker.host) == [b"Redis answered with the error NOAUTH"]
    assert len(worker.host.redis_queries) == 1


class Asks(PluginContext[dict[str, str]]):
    """Notes whether Redis can be called, and what happens when it is."""

    async def on_tick(self) -> None:
        SEEN.append(str(self.has_redis))
        try:
            await self.redis_call("redis", "PING")
        except UsageError as error:
            SEEN.append(str(error))


SEEN: list[str] = []


@pytest.mark.parametrize(
    ("has_redis", "expected"),
    [(True, "a list of its parts"), (False, "python -m wasmbuild ... --host higress")],
)
def test_what_cannot_work_is_a_usage_error(has_redis: bool, expected: str) -> None:
    SEEN.clear()
    worker = Worker(definition(HttpFilter, context=Asks))
    plugins = {worker.plugin.name: worker.plugin}
    worker.dispatcher = Dispatcher(worker.host, redis=worker.host if has_redis else None, plugins=plugins)
    worker.add_root(1, {})

    worker.tick()

    assert SEEN[0] == str(has_redis)
    assert expected in SEEN[1]
