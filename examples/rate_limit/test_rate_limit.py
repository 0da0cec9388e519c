"""What the filter does, on every host that the command line names."""

import pytest

from proxytest import Gateway, Status


def test_the_limit_is_per_caller(gateway: Gateway) -> None:
    """The limit is per caller."""
    gateway.load("rate-limit", {"requests_per_minute": 2})

    statuses = [gateway.get("/", headers={"x-caller": "acme"}).reply.status for _ in range(3)]
    other = gateway.get("/", headers={"x-caller": "other"})

    assert statuses == [200, 200, 429]
    assert other.reply.status == 200


def test_one_too_many_does_not_reach_the_upstream(gateway: Gateway) -> None:
    """One too many does not reach the upstream."""
    gateway.load("rate-limit", {"requests_per_minute": 1})
    gateway.get("/")

    exchange = gateway.get("/")

    assert exchange.upstream is None
    assert 1 <= int(exchange.reply.headers["retry-after"]) <= 60


@pytest.mark.hosts("native", "wasm")
def test_a_new_minute_starts_at_zero(gateway: Gateway) -> None:
    """A new minute starts at zero."""
    gateway.load("rate-limit", {"requests_per_minute": 1})
    gateway.get("/")

    gateway.advance(60)

    assert gateway.get("/").reply.status == 200


@pytest.mark.hosts("native", "wasm")
def test_workers_count_together(gateway: Gateway) -> None:
    """Workers count together."""
    gateway.configure(workers=2)
    gateway.load("rate-limit", {"requests_per_minute": 1})
    gateway.get("/", worker=0)

    exchange = gateway.get("/", worker=1)

    assert exchange.reply.status == 429


@pytest.mark.hosts("native", "wasm")
def test_a_failing_store_refuses(gateway: Gateway) -> None:
    """A failing store refuses."""
    gateway.load("rate-limit", {"requests_per_minute": 1})
    gateway.emulator.faults.fail("get_shared_data", Status.INTERNAL_FAILURE, times=None)

    exchange = gateway.get("/")

    assert exchange.reply.status == 500
    assert exchange.upstream is None
