"""What only the emulator can do: time, faults, workers, dying VMs."""

from collections.abc import Callable

import pytest

from proxytest import FailurePolicy, Gateway, NativeModule, Status, UnsafeForHostError
from proxytest._hostcalls import HostCalls


class Guest:
    """A guest of single functions, each called with the host and the callback's arguments."""

    def __init__(self, host: HostCalls, callbacks: dict[str, Callable[..., int]]) -> None:
        for name, callback in callbacks.items():
            setattr(self, name, lambda *arguments, call=callback: call(host, *arguments))


def _gateway(**callbacks: Callable[..., int]) -> Gateway:
    return Gateway(module=NativeModule(lambda host: Guest(host, callbacks)))


def test_ticks_come_at_their_time_and_no_earlier() -> None:
    gateway = _gateway(
        on_configure=lambda host, *_: int(host.set_tick_period_milliseconds(100) == 0),
        on_tick=lambda host, _: host.set_shared_data(b"tick", b"%d" % host.clock_ns(), 0),
    )
    gateway.load("ticker")
    start = gateway.emulator.clock.now_ns

    gateway.advance(0.099)
    early = "tick" in gateway.shared_data
    gateway.advance(0.151)

    assert not early
    assert int(gateway.shared_data["tick"]) - start == 200_000_000


def test_a_callout_that_takes_too_long_is_answered_504() -> None:
    pairs = (
        b"\x03\0\0\0\x07\0\0\0\x03\0\0\0\x05\0\0\0\x01\0\0\0\x0a\0\0\0\x01\0\0\0"
        b":method\0GET\0:path\0/\0:authority\0h\0"
    )

    def answered(host: HostCalls, *_: int) -> int:
        return host.set_shared_data(b"answer", host.get_header_map_value(6, b":status")[1], 0)

    gateway = _gateway(
        on_request_headers=lambda host, *_: 4 if host.http_call(b"slow", pairs, b"", b"", 250)[0] == 0 else 0,
        on_http_call_response=answered,
    )
    gateway.cluster("slow").hold()
    gateway.load("caller")
    gateway.get("/")

    gateway.advance(0.3)

    assert gateway.shared_data["answer"] == b"504"


def test_an_upstream_that_takes_too_long_is_answered_504() -> None:
    gateway = _gateway()
    gateway.load("silent")
    gateway.upstream.hold()
    exchange = gateway.get("/")

    gateway.advance(15)

    assert exchange.reply.status == 504
    assert exchange.reply.body == b"upstream request timeout"


def test_a_fault_replaces_one_call_and_then_is_over() -> None:
    gateway = _gateway(on_request_headers=lambda host, *_: host.set_shared_data(b"k", b"v", 0))
    gateway.load("writer")
    gateway.emulator.faults.fail("set_shared_data", Status.CAS_MISMATCH)
    gateway.upstream.hold()

    gateway.get("/")
    failed = "k" not in gateway.shared_data
    gateway.get("/")

    assert failed
    assert gateway.shared_data["k"] == b"v"


def test_workers_have_vms_of_their_own_and_share_data() -> None:
    seen: list[int] = []

    def count(host: HostCalls, *_: int) -> int:
        seen.append(id(host))
        value, cas = host.get_shared_data(b"n")[1:]
        host.set_shared_data(b"n", b"%d" % (int(value or b"0") + 1), cas)
        return 0

    gateway = _gateway(on_request_headers=count)
    gateway.configure(workers=2)
    gateway.load("counter")

    gateway.get("/", worker=0)
    gateway.get("/", worker=1)

    assert len(set(seen)) == 2
    assert gateway.shared_data["n"] == b"2"


def test_a_dead_vm_on_one_worker_leaves_the_other_alone() -> None:
    gateway = _gateway(on_request_headers=lambda *_: 0)
    gateway.configure(workers=2)
    gateway.load("frail")
    plugin = gateway.emulator.plugins[0]
    gateway.emulator.kill_vm(plugin, worker=0)

    statuses = [gateway.get("/", worker=worker).reply.status for worker in (0, 1)]

    assert statuses == [503, 200]


def test_a_vm_is_made_anew_after_a_pause() -> None:
    gateway = _gateway(on_request_headers=lambda *_: 0)
    gateway.load("frail", failure_policy=FailurePolicy.RELOAD)
    gateway.emulator.kill_vm(gateway.emulator.plugins[0])

    at_once = gateway.get("/").reply.status
    gateway.advance(1)
    later = gateway.get("/").reply.status

    assert (at_once, later) == (503, 200)


@pytest.mark.parametrize("callback", ["on_log", "on_done", "on_delete"])
def test_a_reply_from_a_stream_that_ends_would_take_envoy_down(callback: str) -> None:
    def reply(host: HostCalls, *_: int) -> int:
        return host.send_local_response(500, b"", b"late", b"", -1)

    gateway = _gateway(**{callback: reply})
    gateway.load("late")

    with pytest.raises(UnsafeForHostError, match="ends the stream a second time"):
        gateway.get("/")


def test_logging_at_the_level_off_would_take_envoy_down() -> None:
    gateway = _gateway(on_request_headers=lambda host, *_: host.log(6, b"x"))
    gateway.load("loud")

    with pytest.raises(UnsafeForHostError, match="level 6"):
        gateway.get("/")


def test_the_order_of_callbacks_is_kept() -> None:
    names = (
        "on_context_create",
        "on_request_headers",
        "on_response_headers",
        "on_log",
        "on_done",
        "on_delete",
    )
    gateway = _gateway(**dict.fromkeys(names, lambda *_: 0))
    gateway.load("watcher")
    first = len(gateway.emulator.callbacks)

    gateway.get("/")

    assert [each.name for each in gateway.emulator.callbacks[first:]] == list(names)
