"""Metrics: defined once, when first used, and only with values the host accepts."""

from collections.abc import Callable

import pytest

from proxywasm import Gauge, HostError, Metrics
from proxywasm._abi import Status

from .fake_host import FakeHost


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def metrics(host: FakeHost) -> Metrics:
    return Metrics(host)


def test_a_metric_is_defined_once(host: FakeHost, metrics: Metrics) -> None:
    for _ in range(3):
        metrics.counter("requests").increment()
        metrics.gauge("open").add(1)
        metrics.histogram("latency_ms").record(5)

    assert host.counted()["define_metric"] == 3
    assert list(host.metric_names.values()) == [b"requests", b"open", b"latency_ms"]
    assert list(host.metric_kinds.values()) == [0, 1, 2]


def test_kinds_with_the_same_name_are_different_metrics(host: FakeHost, metrics: Metrics) -> None:
    metrics.counter("x").increment(5)
    metrics.gauge("x").set(7)

    assert list(host.metrics.values()) == [5, 7]


def test_a_counter_adds_up(metrics: Metrics) -> None:
    counter = metrics.counter("c")
    counter.increment()
    counter.increment(9)

    assert counter.value() == 10


def test_adding_nothing_does_not_bother_the_host(host: FakeHost, metrics: Metrics) -> None:
    metrics.counter("c").increment(0)
    metrics.gauge("g").add(0)

    assert host.counted()["increment_metric"] == 0


def test_a_gauge_goes_up_and_down(metrics: Metrics) -> None:
    gauge = metrics.gauge("g")
    gauge.set(10)
    gauge.add(5)
    gauge.add(-12)

    assert gauge.value() == 3


def test_a_counter_never_goes_down(metrics: Metrics) -> None:
    with pytest.raises(ValueError, match="counter"):
        metrics.counter("c").increment(-1)


@pytest.mark.parametrize("value", [-1, 2**64])
def test_values_beyond_64_bits_are_refused(metrics: Metrics, value: int) -> None:
    with pytest.raises(ValueError, match="from 0"):
        metrics.gauge("g").set(value)
    with pytest.raises(ValueError, match="from 0"):
        metrics.histogram("h").record(value)


USES: dict[str, Callable[[Gauge], object]] = {
    "increment_metric": lambda gauge: gauge.add(1),
    "record_metric": lambda gauge: gauge.set(1),
    "get_metric": lambda gauge: gauge.value(),
}


@pytest.mark.parametrize("call", USES)
def test_a_failure_of_the_host_names_the_metric(host: FakeHost, metrics: Metrics, call: str) -> None:
    gauge = metrics.gauge("g")
    host.statuses[call] = Status.BAD_ARGUMENT

    with pytest.raises(HostError, match=f"{call}: BAD_ARGUMENT: g"):
        USES[call](gauge)


def test_a_metric_the_host_does_not_define_is_tried_again(host: FakeHost, metrics: Metrics) -> None:
    host.statuses["define_metric"] = Status.INTERNAL_FAILURE
    with pytest.raises(HostError, match="define_metric: INTERNAL_FAILURE: c"):
        metrics.counter("c")

    del host.statuses["define_metric"]
    metrics.counter("c").increment()
