"""Metrics: counters, gauges and histograms of the proxy, shown as `wasmcustom.<name>`.

A metric is defined in the host when it is first used, and once per VM; workers that use the same name share
one metric.
"""

from typing import Final

from ._abi import MetricType
from ._host import Host
from .errors import host_error

__all__ = ["Counter", "Gauge", "Histogram", "Metrics"]

_LARGEST_OFFSET: Final = 2**63 - 1
_LARGEST_VALUE: Final = 2**64 - 1


class _Metric:
    """A metric that has been defined in the host."""

    __slots__ = ("_host", "_id", "name")

    def __init__(self, host: Host, metric_id: int, name: str) -> None:
        self._host = host
        self._id = metric_id
        self.name = name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def _add(self, offset: int) -> None:
        status = self._host.increment_metric(self._id, offset)
        if status:
            raise host_error("increment_metric", status, self.name)

    def _record(self, value: int) -> None:
        if not 0 <= value <= _LARGEST_VALUE:
            raise ValueError("a metric takes whole numbers from 0 to 2**64 - 1")
        status = self._host.record_metric(self._id, value)
        if status:
            raise host_error("record_metric", status, self.name)

    def _value(self) -> int:
        status, value = self._host.get_metric(self._id)
        if status:
            raise host_error("get_metric", status, self.name)
        return value


class Counter(_Metric):
    """A number that only grows."""

    __slots__ = ()

    def increment(self, amount: int = 1) -> None:
        """Add *amount*, which is not negative."""
        if not 0 <= amount <= _LARGEST_OFFSET:
            raise ValueError("a counter takes whole numbers from 0 to 2**63 - 1")
        if amount:  # The host refuses to add nothing.
            self._add(amount)

    def value(self) -> int:
        """Return the sum over all workers."""
        return self._value()


class Gauge(_Metric):
    """A number that goes up and down. All workers share it, so prefer `add` to `set`."""

    __slots__ = ()

    def add(self, amount: int) -> None:
        """Add *amount*, or take it away if it is negative."""
        if not -_LARGEST_OFFSET <= amount <= _LARGEST_OFFSET:
            raise ValueError("a gauge takes whole numbers of up to 63 bits")
        if amount:
            self._add(amount)

    def set(self, value: int) -> None:
        """Set the gauge to *value*, which is not negative."""
        self._record(value)

    def value(self) -> int:
        """Return the value all workers share."""
        return self._value()


class Histogram(_Metric):
    """A distribution of values; the proxy makes the buckets and quantiles."""

    __slots__ = ()

    def record(self, value: int) -> None:
        """Record one value, which is not negative; by custom durations are milliseconds."""
        self._record(value)


class Metrics:
    """The metrics of a VM, by name. A name must start with a letter or `_` to show up in Prometheus."""

    __slots__ = ("_counters", "_gauges", "_histograms", "_host")

    def __init__(self, host: Host) -> None:
        self._host = host
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}

    def counter(self, name: str) -> Counter:
        """Return the counter called *name*."""
        metric = self._counters.get(name)
        if metric is None:
            metric = self._counters[name] = Counter(self._host, self._define(MetricType.COUNTER, name), name)
        return metric

    def gauge(self, name: str) -> Gauge:
        """Return the gauge called *name*."""
        metric = self._gauges.get(name)
        if metric is None:
            metric = self._gauges[name] = Gauge(self._host, self._define(MetricType.GAUGE, name), name)
        return metric

    def histogram(self, name: str) -> Histogram:
        """Return the histogram called *name*."""
        metric = self._histograms.get(name)
        if metric is None:
            metric_id = self._define(MetricType.HISTOGRAM, name)
            metric = self._histograms[name] = Histogram(self._host, metric_id, name)
        return metric

    def _define(self, kind: MetricType, name: str) -> int:
        status, metric_id = self._host.define_metric(kind, name.encode())
        if status:
            raise host_error("define_metric", status, name)
        return metric_id
