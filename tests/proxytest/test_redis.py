"""Redis by Higress' calls: the SDK, the module for Higress and the emulator, on a real Redis."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus.servers import RunningRedis, running_redis
from proxytest import (
    ENVOY,
    HIGRESS,
    ConfigurationRefusedError,
    Gateway,
    NotEmulatedError,
    Profile,
    WasmModule,
)
from wasmbuild import binary
from wasmbuild.__main__ import main as wasmbuild

from . import redis_caller  # noqa: F401 - registers the plugin

_BUILD = Path(__file__).parents[2] / "build"
_BUILD_HINT = "python -m wasmbuild ... --host higress"


def _module(host: str) -> WasmModule:
    path = _BUILD / "tests" / f"redis-caller.{host}.wasm"
    source = str(Path(__file__).parent / "redis_caller.py")
    assert wasmbuild([source, "--host", host, "-o", str(path), "--cache", str(_BUILD / ".wasmbuild")]) == 0
    return WasmModule.from_file(path)


@pytest.fixture(scope="session")
def higress_module() -> WasmModule:
    return _module("higress")


@pytest.fixture(scope="session")
def common_module() -> WasmModule:
    return _module("any")


@pytest.fixture(params=["native", "wasm"])
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """Higress, without any filter yet."""
    module = request.getfixturevalue("higress_module") if request.param == "wasm" else None
    made = Gateway(host=request.param, module=module, profile=HIGRESS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared_redis() -> Iterator[RunningRedis]:
    with running_redis() as running:
        yield running


@pytest.fixture
def redis(shared_redis: RunningRedis, gateway: Gateway) -> RunningRedis:
    """An empty Redis, which the gateway knows as a cluster; it runs again, whatever a test has done to it."""
    gateway.redis("redis", shared_redis.host, shared_redis.port)
    return shared_redis


def ask(gateway: Gateway, *commands: list[object], worker: int = 0) -> list[Any]:
    """Send commands one after the other, and return what the filter got for each."""
    answers: list[Any] = json.loads(gateway.post("/", json=commands, worker=worker).reply.body)
    return answers


def test_answers_of_every_kind_arrive(gateway: Gateway, redis: RunningRedis) -> None:
    gateway.load("redis-caller")
    script = "return {1, 'two', {KEYS[1], ARGV[1], false}, redis.status_reply('FINE'), {err='OWN error'}}"

    answers = ask(
        gateway,
        ["FLUSHALL"],
        ["GET", "nothing"],
        ["SET", "text", "é\r\n\x00"],
        ["GET", "text"],
        ["INCRBY", "number", -3],
        ["LRANGE", "nothing", 0, -1],
        ["EVAL", script, 1, "a key", "a value"],
    )

    assert answers[:6] == ["OK", None, "OK", "é\r\n\x00".encode().decode("latin-1"), -3, []]
    assert answers[6][:4] == [1, "two", ["a key", "a value", None], "FINE"]
    assert answers[6][4]["error"] == "OWN"


def test_an_error_has_a_code_and_its_message_stays_out_of_logs(gateway: Gateway, redis: RunningRedis) -> None:
    gateway.load("redis-caller")

    unknown_script, wrong_type = ask(gateway, ["EVALSHA", "0" * 40, 0], ["FLY", "secret"])

    assert unknown_script["error"] == "NOSCRIPT"
    assert wrong_type["error"] == "ERR"
    assert "secret" in wrong_type["message"]
    assert "secret" not in wrong_type["text"]


def test_a_script_is_loaded_once_and_called_by_its_hash(gateway: Gateway, redis: RunningRedis) -> None:
    gateway.load("redis-caller")
    (sha,) = ask(gateway, ["SCRIPT", "LOAD", "return ARGV[1]"])

    assert ask(gateway, ["EVALSHA", sha, 0, "x" * 100_000]) == ["x" * 100_000]


def test_redis_may_go_away_and_come_back(gateway: Gateway, redis: RunningRedis) -> None:
    gateway.load("redis-caller")
    assert ask(gateway, ["SET", "kept", "1"]) == ["OK"]

    redis.kill()
    away = ask(gateway, ["GET", "kept"], ["GET", "kept"])
    redis.start()

    assert [list(each) for each in away] == [["CalloutError"], ["CalloutError"]]
    assert "no answer" in away[0]["CalloutError"]
    assert ask(gateway, ["GET", "kept"]) == ["1"]


def test_a_late_answer_fails_the_call_and_confuses_no_later_one(
    gateway: Gateway, redis: RunningRedis
) -> None:
    gateway.load("redis-caller", {"redis": {"timeout_s": 0.2}})

    slow, next_one = ask(gateway, ["BLPOP", "never", 1], ["PING"])

    assert list(slow) == ["CalloutError"]
    assert next_one == "PONG"


def test_no_such_cluster_is_refused(gateway: Gateway) -> None:
    gateway.load("redis-caller")

    assert ask(gateway, ["PING"]) == [
        {"CalloutError": "callout to 'redis': refused: the proxy has no such cluster"}
    ]


def test_each_worker_speaks_for_itself(gateway: Gateway, redis: RunningRedis) -> None:
    gateway.configure(workers=2)
    gateway.load("redis-caller")

    ids = [ask(gateway, ["CLIENT", "ID"], ["CLIENT", "ID"], worker=worker) for worker in (0, 1)]

    assert ids[0][0] == ids[0][1]
    assert ids[1][0] == ids[1][1]
    assert ids[0] != ids[1]


def test_options_choose_a_database(gateway: Gateway, redis: RunningRedis) -> None:
    gateway.load("redis-caller", {"redis": {"cluster": "redis?db=2"}})

    assert "db=2" in ask(gateway, ["CLIENT", "INFO"])[0]


def test_a_plugin_may_ask_from_its_timer(gateway: Gateway, redis: RunningRedis) -> None:
    gateway.load("redis-caller", {"ticks": "ticks", "redis": {}})
    ask(gateway, ["DEL", "ticks"])

    gateway.advance(3)

    assert ask(gateway, ["GET", "ticks"]) == ["3"]


@pytest.fixture
def locked_redis(gateway: Gateway) -> Iterator[RunningRedis]:
    """A Redis that wants a password, or that of the user Ann."""
    user = ("--user", "ann", "on", "+@all", "~*", ">hers")
    with running_redis(("--requirepass", "let me in", *user)) as running:
        gateway.redis("redis", running.host, running.port)
        yield running


def test_a_password_opens(gateway: Gateway, locked_redis: RunningRedis) -> None:
    gateway.load("redis-caller", {"redis": {"password": "let me in"}})

    assert ask(gateway, ["PING"]) == ["PONG"]


def test_a_user_opens_too(gateway: Gateway, locked_redis: RunningRedis) -> None:
    gateway.load("redis-caller", {"redis": {"username": "ann", "password": "hers"}})

    assert ask(gateway, ["ACL", "WHOAMI"]) == ["ann"]


def test_a_wrong_password_is_an_error_and_not_shown(gateway: Gateway, locked_redis: RunningRedis) -> None:
    gateway.load("redis-caller", {"redis": {"password": "guess"}})

    (answer,) = ask(gateway, ["PING"])

    assert answer["error"] == "NOAUTH"
    assert "guess" not in json.dumps(answer) + str(gateway.logs)


def test_who_finds_another_s_connection_introduces_himself_again(
    gateway: Gateway, locked_redis: RunningRedis
) -> None:
    """As after an update of the cluster, or when another plugin has said less of the same cluster."""
    gateway.load("redis-caller", {"redis": {"password": "let me in"}})
    assert ask(gateway, ["PING"]) == ["PONG"]
    root = next(iter(gateway.emulator.vm(gateway.emulator.plugins[0]).roots.values()))
    gateway.emulator.redis.init(root, cluster="redis", username="", password="", timeout_ms=100)

    assert ask(gateway, ["PING"]) == ["PONG"]


def test_wrong_use_is_explained(gateway: Gateway, redis: RunningRedis) -> None:
    gateway.load("redis-caller", {"redis": {"timeout_s": 0}})

    no_command, no_timeout = ask(gateway, [], ["PING"])

    assert "a list of its parts" in no_command["UsageError"]
    assert "a timeout above 0" in no_timeout["UsageError"]


@pytest.mark.parametrize("profile", [ENVOY, HIGRESS], ids=lambda profile: profile.name)
def test_the_common_module_says_which_one_is_needed(common_module: WasmModule, profile: Profile) -> None:
    gateway = Gateway(host="wasm", module=common_module, profile=profile)
    gateway.load("redis-caller")

    assert _BUILD_HINT in ask(gateway, ["PING"])[0]["UsageError"]


@pytest.mark.parametrize("profile", [ENVOY, HIGRESS], ids=lambda profile: profile.name)
def test_a_plugin_can_refuse_a_configuration_that_wants_redis(
    common_module: WasmModule, profile: Profile
) -> None:
    gateway = Gateway(host="wasm", module=common_module, profile=profile)

    with pytest.raises(ConfigurationRefusedError):
        gateway.load("redis-caller", {"wants_redis": True})


def test_natively_envoy_has_no_redis_either() -> None:
    gateway = Gateway()
    gateway.load("redis-caller")

    assert _BUILD_HINT in ask(gateway, ["PING"])[0]["UsageError"]


def test_a_gateway_on_a_real_envoy_takes_no_redis() -> None:
    with pytest.raises(NotEmulatedError, match="only Higress"):
        Gateway(host="envoy").redis("redis", "127.0.0.1", 6379)


def test_only_the_module_for_higress_imports_the_calls(
    higress_module: WasmModule, common_module: WasmModule
) -> None:
    imported, exported = (
        [
            {entry.name for entry in read(module.code) if "redis" in entry.name}
            for module in (higress_module, common_module)
        ]
        for read in (binary.imports, binary.exports)
    )

    assert imported == [{"proxy_redis_init", "proxy_redis_call"}, set()]
    assert exported == [{"proxy_on_redis_call_response"}, set()]
