"""The gateway: listeners, providers, services, routes, timeouts and limits, as values.

It is what stock Envoy must know and a Higress `WasmPlugin` does not say. `gateway_file` reads it from
``envoy/gateway.yaml``; `faked` points it at the fake providers.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

__all__ = [
    "DEFAULT_ROUTE",
    "Admin",
    "Gateway",
    "Key",
    "Limits",
    "Listener",
    "Provider",
    "Retries",
    "Route",
    "Service",
    "Timeouts",
    "Tls",
    "Upstream",
    "faked",
    "is_ip_address",
    "unreachable_routes",
]

DEFAULT_ROUTE = "default"
"""The name of the route for everything, which a gateway has whose description names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """An address that clients connect to."""

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Admin:
    """Where Envoy's administration page listens. It has no password: keep it on loopback."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Tls:
    """How to speak TLS to an upstream, whose certificate is always checked."""

    sni: str
    """The server name that is asked for and that the certificate must be for."""
    ca_file: str
    """Certificates of the authorities to trust, in PEM."""


@dataclass(frozen=True, slots=True)
class Key:
    """Where Envoy finds the key of a provider: in one variable of its environment, or in one file."""

    variable: str | None = None
    file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """What Envoy connects to: a cluster of its."""

    name: str
    host: str
    port: int
    tls: Tls | None = None

    @property
    def has_ip_address(self) -> bool:
        """Whether *host* is an IP address and not a name."""
        return is_ip_address(self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Upstream):
    """What plugins call out to, such as Webdis; no request of a client gets there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider(Upstream):
    """One LLM provider."""

    path_prefix: str = "/v1"
    """What stands for ``/v1`` at this provider, for example ``/v1beta/openai``."""
    key: Key | None = None
    """The key that is sent as a bearer token; without one the client's own ``authorization`` goes through."""
    service: str | None = None
    """What Higress calls it, so that ``service`` rules written for Higress hold for it too."""

    @property
    def service_names(self) -> tuple[str, ...]:
        """The names by which a ``service`` rule may mean this provider, as Higress would write them."""
        names = (self.name, self.service) if self.service else (self.name,)
        return (*names, *(f"{name}:{self.port}" for name in names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Waiting times, in seconds; 0 stands for no limit."""

    connect_s: float
    """For a connection to a provider or service, TLS included."""
    headers_s: float
    """For a client to send its request headers."""
    idle_s: float
    """For a request or an answer in which no byte moves."""
    response_s: float
    """For a whole answer, from the end of the request to the last byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Requests that belong together: plugins have rules for them by this name, under ``ingress``."""

    name: str
    path_prefix: str = "/"
    """Paths that are this one or go on from it after a ``/``."""
    domains: tuple[str, ...] = ()
    """Hosts, without ports, or ``*.`` and the end of a host; without any, all hosts."""
    provider: str | None = None
    """Takes the requests for which no plugin has chosen; None stands for the gateway's `default_provider`."""
    idle_s: float | None = None
    response_s: float | None = None
    """Both are as in `Timeouts`; None stands for the gateway's."""

    def covers(self, other: "Route") -> bool:
        """Return whether every request that *other* takes is one that this route takes too."""
        domains = other.domains or ("*",)
        return self.takes_path(other.path_prefix) and all(self.serves_all_of(domain) for domain in domains)

    def takes_path(self, path: str) -> bool:
        """Return whether *path* is under this route's."""
        return self.path_prefix in ("/", path) or path.startswith(f"{self.path_prefix}/")

    def serves_all_of(self, domain: str) -> bool:
        """Return whether this route is for every host that *domain*, or ``*``, stands for."""
        return not self.domains or any(_covers_domain(own, domain) for own in self.domains)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may use up."""

    body_bytes: int
    """The largest request body; more gets 413."""
    connections: int
    """Connections of all clients together; more are refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Further attempts at a request, where a plugin says who is to make them."""

    attempts: int = 4
    """In all, with the first."""
    conditions: tuple[str, ...] = ("5xx", "reset", "connect-failure", "refused-stream")
    """Envoy's conditions, as its ``retry_on`` has them."""
    statuses: tuple[int, ...] = (401, 402, 403, 408, 429)
    """What is tried again beside what `conditions` say."""
    try_s: float = 0
    """For an attempt until its answer begins; 0: as the circuit breaker has it."""
    idle_s: float = 120
    """For an attempt in which no byte moves; 0: as the route has it, and then nobody else is tried."""
    back_off_s: float = 0.005
    """At most before the second attempt: it goes to somebody else, so it need not wait."""
    back_off_limit_s: float = 0.02
    """At most before any."""
    budget_percent: float = 20
    """Of the requests under way at a provider, how many may be further attempts."""
    budget_least: int = 100
    """How many may be in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A whole gateway, but for its plugins' configuration."""

    listeners: tuple[Listener, ...]
    admin: Admin
    providers: tuple[Provider, ...]
    default_provider: str
    """Takes the requests for which neither a plugin nor a route has another."""
    timeouts: Timeouts
    limits: Limits
    access_log: Literal["none", "stdout"]
    module: Path
    """The WebAssembly module with all plugins."""
    plugins: Path
    """The directory with one WasmPlugin YAML per plugin."""
    routes: tuple[Route, ...] = (Route(name=DEFAULT_ROUTE),)
    """In the order in which they are tried; what none of them takes gets 404."""
    retries: Retries = Retries()
    services: tuple[Service, ...] = ()
    catalog: Path | None = None
    """The file with the models, for every plugin that takes a catalog."""


def is_ip_address(host: str) -> bool:
    """Return whether *host* is an IP address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def faked(gateway: Gateway, host: str, first_port: int) -> Gateway:
    """Return *gateway* with each provider replaced by a fake one, in the order of their ports.

    Fake providers speak plain HTTP and need no key, and ``/v1`` is ``/v1``.
    """
    providers = tuple(
        replace(provider, host=host, port=port, tls=None, path_prefix="/v1", key=None)
        for port, provider in enumerate(gateway.providers, first_port)
    )
    return replace(gateway, providers=providers)


def unreachable_routes(routes: Iterable[Route]) -> list[tuple[int, Route]]:
    """Return routes that no request gets to, by index, each with the earlier one that takes them all."""
    found = []
    earlier: list[Route] = []
    for index, route in enumerate(routes):
        found.extend([(index, other) for other in earlier if other.covers(route)][:1])
        earlier.append(route)
    return found


def _covers_domain(pattern: str, domain: str) -> bool:
    if pattern.startswith("*"):
        return domain.endswith(pattern[1:])
    return pattern == domain
