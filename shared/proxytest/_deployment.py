"""What every engine must be able to do: run a chain of filters, and carry requests through it in steps."""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Protocol

from ._abi import Pairs
from ._http1 import Decoder
from ._logs import LogRecord
from ._plugin import PluginSpec
from ._process import BUFFER_LIMIT
from ._profile import ENVOY, Profile
from ._route import DEFAULT_CLUSTER, Route


@dataclass(slots=True)
class Setup:
    """Everything about a proxy but the requests."""

    plugins: list[PluginSpec] = field(default_factory=list)
    routes: tuple[Route, ...] = (Route(),)
    clusters: dict[str, bool] = field(default_factory=lambda: {DEFAULT_CLUSTER: True})
    """Names of clusters, and whether they have an endpoint."""

    grpc_clusters: set[str] = field(default_factory=set)
    """Those that serve gRPC: they are spoken to in HTTP/2, and by nothing but gRPC callouts."""

    redis_endpoints: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Clusters that are a Redis, and its host and port."""

    profile: Profile = ENVOY
    worker_count: int = 1
    buffer_limit: int = BUFFER_LIMIT


class Call(Protocol):
    """A request that has arrived at a server: the routed one, or one that a filter made itself."""

    @property
    def cluster(self) -> str:
        """The cluster whose server this is."""

    @property
    def is_callout(self) -> bool:
        """Whether a filter made the request itself."""

    @property
    def request(self) -> Decoder:
        """The request, as far as it has come."""

    @property
    def was_reset(self) -> bool:
        """Whether the proxy lost interest before the exchange was complete."""

    def reply_headers(self, headers: Pairs, end_stream: bool) -> None:
        """Send the head of the response."""

    def reply_data(self, data: bytes, end_stream: bool) -> None:
        """Send a piece of the response's body."""

    def reply_trailers(self, trailers: Pairs) -> None:
        """Send the response's trailers."""

    def reset(self) -> None:
        """Close the connection."""


class Request(Protocol):
    """A request as the client sees it."""

    @property
    def response(self) -> Decoder:
        """The response, as far as it has come."""

    @property
    def was_reset(self) -> bool:
        """Whether the proxy closed the connection before the response was complete."""

    def send(self, data: bytes, end_stream: bool) -> None:
        """Send a piece of body."""

    def send_trailers(self, trailers: Pairs) -> None:
        """Send trailers."""

    def abort(self) -> None:
        """Close the connection."""


Arrived = Callable[[Call], None]
"""Called for a request at a server: when its head is there, and again when it is complete."""


class Deployment(Protocol):
    """A running proxy with a chain of filters."""

    @property
    def shared_data(self) -> MutableMapping[str, bytes]:
        """The shared data of the filters."""

    def apply(self, setup: Setup) -> None:
        """Bring in filters and clusters that are new in *setup*. Raises ConfigurationRefusedError."""

    def open(self, headers: Pairs, end_stream: bool, worker: int, arrived: Arrived) -> Request:
        """Send the head of a request."""

    def advance(self, seconds: float) -> None:
        """Let time pass."""

    def metrics(self) -> Mapping[str, int]:
        """Read counters and gauges by the names the filters gave."""

    def histograms(self) -> Mapping[str, int]:
        """Read how often each histogram was given a value."""

    def logs(self) -> list[LogRecord]:
        """Read what the filters logged since they were loaded."""

    def close(self) -> None:
        """Take the filters away."""
