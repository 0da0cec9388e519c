"""Which cluster a request goes to."""

from dataclasses import dataclass, field

from ._headers import HeaderMap

DEFAULT_CLUSTER = "upstream"
"""The cluster that takes every request unless a test says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A line of the route table, tried in order; the first that matches decides."""

    name: str = "default"
    cluster: str = DEFAULT_CLUSTER
    cluster_header: str | None = None
    """Take the cluster's name from this request header instead."""

    prefix: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    """Request headers that must have exactly these values."""

    timeout_s: float = 15.0
    """How long the upstream may take, from the end of the request; 0 is for ever."""

    def matches(self, headers: HeaderMap) -> bool:
        """Tell whether a request with these headers takes this route."""
        path = headers.get(b":path") or b""
        return path.startswith(self.prefix.encode()) and all(
            headers.get(name.encode()) == value.encode() for name, value in self.headers
        )

    def resolved(self, headers: HeaderMap) -> "Route | None":
        """Return the route with its cluster filled in; None when the header that names it is missing."""
        if self.cluster_header is None:
            return self
        cluster = headers.get(self.cluster_header.encode())
        if not cluster:
            return None
        return Route(name=self.name, cluster=cluster.decode(), prefix=self.prefix, timeout_s=self.timeout_s)


@dataclass(slots=True)
class RouteTable:
    """The routes of a gateway."""

    routes: tuple[Route, ...] = field(default_factory=lambda: (Route(),))

    def resolve(self, headers: HeaderMap) -> Route | None:
        """Return the route of a request, or None when nothing matches or a filter removed the scheme."""
        if b":scheme" not in headers:
            return None
        for route in self.routes:
            if route.matches(headers):
                return route.resolved(headers)
        return None
