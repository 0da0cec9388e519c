"""Metrics: values belong to the process, ids to the VM (Envoy, extensions/common/wasm/context.cc)."""

from dataclasses import dataclass, field

from ._abi import MetricKind, Status

_KIND_BITS = 0b11
_ID_STEP = 4
_UINT64 = 1 << 64


@dataclass(slots=True)
class Stats:
    """The counters, gauges and histograms of the whole process, by name."""

    counters: dict[str, int] = field(default_factory=dict)
    gauges: dict[str, int] = field(default_factory=dict)
    histograms: dict[str, list[int]] = field(default_factory=dict)

    def define(self, kind: MetricKind, name: str) -> None:
        """Make sure a metric exists; every VM that defines the same name shares it."""
        if kind is MetricKind.COUNTER:
            self.counters.setdefault(name, 0)
        elif kind is MetricKind.GAUGE:
            self.gauges.setdefault(name, 0)
        else:
            self.histograms.setdefault(name, [])


@dataclass(slots=True)
class MetricTable:
    """The metric ids of one VM.

    The low two bits of an id are its kind and ids of a kind go up by four; defining a name again gives a new
    id for the same metric.
    """

    stats: Stats
    _names: dict[int, str] = field(default_factory=dict)
    _last: dict[MetricKind, int] = field(default_factory=lambda: {kind: kind.value for kind in MetricKind})

    def define(self, kind: int, name: bytes) -> tuple[Status, int]:
        """Give out an id: counters 4, 8, ...; gauges 5, 9, ...; histograms 6, 10, ...."""
        if kind not in list(MetricKind):
            return Status.BAD_ARGUMENT, 0
        metric_kind = MetricKind(kind)
        self._last[metric_kind] += _ID_STEP
        metric = self._last[metric_kind]
        self._names[metric] = name.decode("utf-8", "replace")
        self.stats.define(metric_kind, self._names[metric])
        return Status.OK, metric

    def increment(self, metric: int, offset: int) -> Status:
        """Add to a counter (positive only) or a gauge (both ways, modulo 2**64 like Envoy)."""
        kind = metric & _KIND_BITS
        if kind not in (MetricKind.COUNTER, MetricKind.GAUGE):
            return Status.BAD_ARGUMENT
        name = self._names.get(metric)
        if name is None:
            return Status.NOT_FOUND
        if kind == MetricKind.GAUGE:
            self.stats.gauges[name] = (self.stats.gauges[name] + offset) % _UINT64
            return Status.OK
        if offset <= 0:
            return Status.BAD_ARGUMENT
        self.stats.counters[name] += offset
        return Status.OK

    def record(self, metric: int, value: int) -> Status:
        """Set a gauge, observe in a histogram; on a counter this *adds*."""
        name = self._names.get(metric)
        if name is None:
            return Status.NOT_FOUND
        kind = metric & _KIND_BITS
        if kind == MetricKind.COUNTER:
            self.stats.counters[name] += value
        elif kind == MetricKind.GAUGE:
            self.stats.gauges[name] = value
        else:
            self.stats.histograms[name].append(value)
        return Status.OK

    def get(self, metric: int) -> tuple[Status, int]:
        """Read a counter or a gauge; a histogram cannot be read."""
        kind = metric & _KIND_BITS
        if kind not in (MetricKind.COUNTER, MetricKind.GAUGE):
            return Status.BAD_ARGUMENT, 0
        name = self._names.get(metric)
        if name is None:
            return Status.NOT_FOUND, 0
        values = self.stats.counters if kind == MetricKind.COUNTER else self.stats.gauges
        return Status.OK, values[name]
