"""Shared data: versions, creation, updates under contention; queues."""

import pytest

from proxywasm import HostError, SharedData, SharedDataContentionError, SharedQueue, VersionedValue
from proxywasm._abi import Status

from .fake_host import FakeHost


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def shared(host: FakeHost) -> SharedData:
    return SharedData(host)


def test_a_key_that_is_not_there_is_none(shared: SharedData) -> None:
    assert shared.get("k") is None
    assert shared.get_versioned("k") is None


def test_what_was_set_is_there_and_may_be_empty(shared: SharedData) -> None:
    shared.set("k", b"")

    assert shared.get("k") == b""
    assert shared.get_versioned("k") == VersionedValue(b"", 1)


def test_only_the_first_creation_succeeds(shared: SharedData) -> None:
    assert shared.create("k", b"mine") is True
    assert shared.create("k", b"theirs") is False
    assert shared.get("k") == b"mine"


def test_compare_and_set_fails_after_another_change(shared: SharedData) -> None:
    shared.set("k", b"1")
    seen = shared.get_versioned("k")
    assert seen is not None
    shared.set("k", b"2")

    assert shared.compare_and_set("k", b"3", seen.version) is False
    assert shared.get("k") == b"2"

    again = shared.get_versioned("k")
    assert again is not None
    assert shared.compare_and_set("k", b"3", again.version) is True


def test_the_version_that_overwrites_anything_is_refused(shared: SharedData) -> None:
    with pytest.raises(ValueError, match="version"):
        shared.compare_and_set("k", b"x", 0)


def test_update_creates_and_changes(shared: SharedData) -> None:
    def increment(value: bytes | None) -> bytes:
        return b"%d" % (int(value or b"0") + 1)

    assert shared.update("k", increment) == b"1"
    assert shared.update("k", increment) == b"2"
    assert shared.get("k") == b"2"


def test_update_tries_again_with_the_newer_value(host: FakeHost, shared: SharedData) -> None:
    host.lose_races = 2
    seen: list[bytes | None] = []

    def change(value: bytes | None) -> bytes:
        seen.append(value)
        return b"mine"

    assert shared.update("k", change) == b"mine"
    assert seen == [None, b"theirs 1", b"theirs 0"]


def test_update_gives_up_after_its_attempts(host: FakeHost, shared: SharedData) -> None:
    host.lose_races = 100

    with pytest.raises(SharedDataContentionError, match="3 attempts") as caught:
        shared.update("spent/alice", lambda _: b"x", attempts=3)

    assert host.counted()["set_shared_data"] == 3
    assert caught.value.key == "spent/alice"
    assert "alice" not in str(caught.value)


def test_update_writes_nothing_when_nothing_changes(host: FakeHost, shared: SharedData) -> None:
    shared.set("k", b"same")
    host.calls.clear()

    assert shared.update("k", lambda value: value or b"") == b"same"

    assert host.calls == ["get_shared_data"]


@pytest.mark.parametrize("call", ["get_shared_data", "set_shared_data"])
def test_a_failure_of_the_host_is_an_error(host: FakeHost, shared: SharedData, call: str) -> None:
    host.statuses[call] = Status.INTERNAL_FAILURE

    with pytest.raises(HostError, match=f"{call}: INTERNAL_FAILURE"):
        shared.update("k", lambda _: b"x")


def test_a_queue_gives_items_in_order_then_none(host: FakeHost) -> None:
    _, queue_id = host.register_shared_queue(b"q")
    queue = SharedQueue(host, queue_id)
    queue.enqueue(b"1")
    queue.enqueue(b"2")

    assert [queue.dequeue(), queue.dequeue(), queue.dequeue()] == [b"1", b"2", None]


def test_a_queue_that_does_not_exist_is_an_error(host: FakeHost) -> None:
    queue = SharedQueue(host, 99)

    with pytest.raises(HostError, match="enqueue_shared_queue: NOT_FOUND"):
        queue.enqueue(b"x")
    with pytest.raises(HostError, match="dequeue_shared_queue: NOT_FOUND"):
        queue.dequeue()
