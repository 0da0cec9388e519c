"""gRPC callouts in the emulator: servers that answer them, and what Envoy would not survive."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from proxytest import Gateway, NativeModule, UnsafeForHostError
from proxytest._grpc_service import described_cluster
from proxytest._hostcalls import HostCalls
from proxywasm import CONTINUE, CalloutError, HttpFilter, Outcome, Request, plugin


@plugin("asks-by-grpc")
class AsksByGrpc(HttpFilter[Mapping[str, Any]]):
    """Puts the answer of a gRPC service, or its refusal, into a header."""

    async def on_request_headers(self, request: Request) -> Outcome:
        """Ask."""
        try:
            answer = await self.grpc_call(
                "prices", service="shop.Prices", method="Get", message=b"apple", timeout_s=0.25
            )
        except CalloutError as error:
            request.headers["x-refusal"] = str(error)
        else:
            request.headers["x-price"] = answer.decode()
        return CONTINUE


class Guest:
    """A guest of single functions, each called with the host and the callback's arguments."""

    def __init__(self, host: HostCalls, callbacks: dict[str, Callable[..., int]]) -> None:
        for name, callback in callbacks.items():
            setattr(self, name, lambda *arguments, call=callback: call(host, *arguments))


def _asking() -> Gateway:
    gateway = Gateway()
    gateway.cluster("prices", grpc=True)
    gateway.load("asks-by-grpc")
    return gateway


def _guest(**callbacks: Callable[..., int]) -> Gateway:
    gateway = Gateway(module=NativeModule(lambda host: Guest(host, callbacks)))
    gateway.cluster("prices", grpc=True).hold()
    gateway.load("guest")
    return gateway


def test_a_filter_gets_the_message_of_a_grpc_service() -> None:
    gateway = _asking()
    gateway.cluster("prices").respond_grpc(b"12 cents")

    exchange = gateway.get("/")

    assert exchange.upstream is not None
    assert exchange.upstream.headers["x-price"] == "12 cents"
    assert exchange.callouts[0].path == "/shop.Prices/Get"
    assert exchange.callouts[0].headers["grpc-timeout"] == "250m"
    assert exchange.callouts[0].grpc_messages == [b"apple"]


def test_a_grpc_error_is_a_failed_callout() -> None:
    gateway = _asking()
    gateway.cluster("prices").respond_grpc(status=5, reason="no apples")

    exchange = gateway.get("/")

    assert exchange.upstream is not None
    assert "gRPC status 5: no apples" in exchange.upstream.headers["x-refusal"]


def test_a_grpc_service_that_takes_too_long_is_given_up_at_its_time() -> None:
    gateway = _asking()
    gateway.cluster("prices").hold()
    exchange = gateway.get("/")

    gateway.advance(0.249)
    early = exchange.upstream
    gateway.advance(0.001)

    assert early is None
    assert exchange.upstream is not None
    assert "gRPC status 14: upstream request timeout" in exchange.upstream.headers["x-refusal"]
    assert gateway.cluster("prices").calls[0].was_reset


@pytest.mark.parametrize("name", ["", "empty", "nowhere"])
def test_a_call_to_a_cluster_that_is_not_there_fails_whatever_its_name(name: str) -> None:
    @plugin(f"asks-{name}")
    class AsksCluster(HttpFilter[Mapping[str, Any]]):
        async def on_request_headers(self, request: Request) -> Outcome:
            try:
                await self.grpc_call(name, service="s", method="m", message=b"")
            except CalloutError as error:
                request.headers["x-refusal"] = error.reason
            return CONTINUE

    gateway = Gateway()
    gateway.load(f"asks-{name}")

    exchange = gateway.get("/")

    assert exchange.upstream is not None
    assert "no such cluster" in exchange.upstream.headers["x-refusal"]


def test_a_stream_is_answered_in_steps() -> None:
    heard: list[bytes] = []

    def message(host: HostCalls, _root: int, token: int, size: int) -> int:
        heard.append(host.get_buffer_bytes(5, 0, size)[1])
        return host.grpc_send(token, b"more", 0)

    def closed(host: HostCalls, _root: int, token: int, status: int) -> int:
        heard.append(b"%d %s" % (status, host.get_status()[2]))
        return host.grpc_close(token)

    gateway = _guest(
        on_request_headers=lambda host, *_: host.grpc_stream(b"prices", b"s", b"m", b"")[0],
        on_grpc_receive=message,
        on_grpc_close=closed,
    )
    gateway.get("/")
    call = gateway.cluster("prices").calls[0]

    call.start(headers={"content-type": "application/grpc"})
    call.send_message(b"one")
    call.send_message(b"two")
    call.finish({"grpc-status": "0", "grpc-message": "bye"})

    assert heard == [b"one", b"two", b"0 bye{via_upstream}"]
    assert call.received.grpc_messages == [b"more", b"more"]
    assert not call.received.complete


def test_nothing_is_told_of_a_call_after_it_was_cancelled() -> None:
    told: list[int] = []

    def tell(_host: HostCalls, _root: int, token: int, _size_or_status: int) -> int:
        told.append(token)
        return 0

    def start(host: HostCalls, *_: int) -> int:
        status, token = host.grpc_call(b"prices", b"s", b"m", b"", b"x", 100)
        return status or host.grpc_cancel(token)

    gateway = _guest(
        on_request_headers=start,
        on_grpc_receive=tell,
        on_grpc_close=tell,
    )
    exchange = gateway.get("/")

    gateway.advance(1)

    assert exchange.reply.status == 200
    assert told == []
    assert gateway.cluster("prices").calls == []


@pytest.mark.parametrize("service", [b"", b"empty", b"\x1a\x02\x08\x05"])
def test_a_service_without_a_server_ends_the_test_as_it_ends_envoy(service: bytes) -> None:
    gateway = _guest(
        on_request_headers=lambda host, *_: host.grpc_call(service, b"s", b"m", b"", b"x", 100)[0]
    )

    with pytest.raises(UnsafeForHostError, match="ends Envoy"):
        gateway.get("/")


@pytest.mark.parametrize(
    ("service", "cluster"),
    [
        (b"\x0a\x08\x0a\x06prices", "prices"),
        (b"\x0a\x08\x0a\x06prices\x1a\x02\x08\x05", "prices"),
        (b"\x0a\x00", ""),
        (b"prices", None),
        (b"\x0a\x09\x0a\x06prices", None),
        (b"\x0a\x08\x0a\x07prices", None),
        (b"\x00", None),
        (b"\x08" + b"\xff" * 11, None),
    ],
)
def test_the_cluster_of_a_described_service(service: bytes, cluster: str | None) -> None:
    assert described_cluster(service) == cluster
