"""Modules nobody here wrote the SDK of run in the emulator, and look there as they do on a real Envoy."""

from collections.abc import Callable, Iterator

import pytest

from proxytest import Gateway, WasmModule
from proxytest._envoy import EnvoyDeployment, EnvoyEngine

from .foreign import builds


@pytest.fixture(scope="module")
def envoy() -> Iterator[EnvoyEngine]:
    engine = EnvoyEngine()
    yield engine
    engine.stop()


Make = Callable[[WasmModule], Gateway]


@pytest.fixture(params=["emulator", "envoy"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    made: list[Gateway] = []

    def make_gateway(module: WasmModule) -> Gateway:
        if request.param == "emulator":
            made.append(Gateway(host="wasm", module=module))
        else:
            engine: EnvoyEngine = request.getfixturevalue("envoy")
            made.append(
                Gateway(host="envoy", module=module, deploy=lambda setup: EnvoyDeployment(engine, setup))
            )
        return made[-1]

    yield make_gateway
    for gateway in made:
        gateway.close()


def test_hello_world_in_assemblyscript_of_abi_0_2_0(make: Make) -> None:
    gateway = make(builds.greeting())
    gateway.load("greeting", "reader")

    exchange = gateway.get("/")

    assert exchange.reply.headers["hello"] == "reader"


def test_a_body_rewriter_in_assemblyscript_of_abi_0_2_1(make: Make) -> None:
    gateway = make(builds.shout())
    gateway.load("shout")

    exchange = gateway.post("/", chunks=(b"one ", b"two"))

    assert exchange.upstream is not None
    assert exchange.upstream.body == b"ONE TWO"
    assert exchange.upstream.headers["x-shouted"] == "7"
    assert [log.message for log in gateway.logs if "shouted" in log.message] == ["[INFO]: shouted"]


def test_a_counter_in_shared_data_in_c(make: Make) -> None:
    gateway = make(builds.counter())
    gateway.load("counter")
    gateway.upstream.respond(body=b"body", headers={"content-length": "4"})

    replies = [gateway.get("/").reply for _ in range(3)]

    assert [reply.headers["x-count"] for reply in replies] == ["1", "2", "3"]
    assert replies[-1].body == b"body (counted)"
    assert gateway.shared_data["count"] == b"3"
