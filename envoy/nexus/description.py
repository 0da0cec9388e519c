"""The gateway description: listeners, providers, timeouts and limits, as ``envoy/gateway.yaml`` says them.

It holds what stock Envoy must know and a Higress `WasmPlugin` does not say. `read_gateway` makes a
`Gateway` of the file; `faked` points a gateway at the fake providers.
"""

import ipaddress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from .reading import Section, YamlFile

_NAME = r"[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?"
_NAME_EXPECTED = "a name of lower-case letters, digits, '-', '_' and '.'"
_HOST = r"[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?"
_HOST_EXPECTED = "an IP address or a host name"
_PATH_PREFIX = r"(/[A-Za-z0-9._~-]+)*"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_HIGHEST_PORT = 65535
_DEFAULT_CA_FILE = "/etc/ssl/certs/ca-certificates.crt"


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
    """How to speak TLS to a provider, whose certificate is always checked."""

    sni: str
    """The server name that is asked for and that the certificate must be for."""
    ca_file: str
    """Certificates of the authorities to trust, in PEM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One LLM provider: a cluster of Envoy's."""

    name: str
    host: str
    port: int
    tls: Tls | None
    path_prefix: str
    """What stands for ``/v1`` at this provider, for example ``/v1beta/openai``."""
    key_env: str | None
    """The environment variable, of the Envoy process, that holds the key sent as a bearer token."""

    @property
    def has_ip_address(self) -> bool:
        """Whether *host* is an IP address and not a name."""
        return is_ip_address(self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Waiting times, in seconds; 0 stands for no limit."""

    connect_s: float
    """For a connection to a provider, TLS included."""
    headers_s: float
    """For a client to send its request headers."""
    idle_s: float
    """For a request or an answer in which no byte moves."""
    response_s: float
    """For a whole answer, from the end of the request to the last byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may use up."""

    body_bytes: int
    """The largest request body; more gets 413."""
    connections: int
    """Connections of all clients together; more are refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A whole gateway, but for its plugins' configuration."""

    listeners: tuple[Listener, ...]
    admin: Admin
    providers: tuple[Provider, ...]
    default_provider: str
    """Takes the requests for which no plugin has chosen."""
    timeouts: Timeouts
    limits: Limits
    access_log: Literal["none", "stdout"]
    module: Path
    """The WebAssembly module with all plugins."""
    plugins: Path
    """The directory with one WasmPlugin YAML per plugin."""


def is_ip_address(host: str) -> bool:
    """Return whether *host* is an IP address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def read_gateway(path: Path) -> Gateway:
    """Read the gateway description at *path*; paths in it are relative to its directory.

    Raises DescriptionError with everything that is wrong.
    """
    file = YamlFile(path)
    root = file.root
    gateway = Gateway(
        listeners=_read_listeners(root),
        admin=_read_admin(root.section("admin")),
        providers=(providers := _read_providers(root)),
        default_provider=root.text("default_provider"),
        timeouts=_read_timeouts(root.section("timeouts")),
        limits=_read_limits(root.section("limits")),
        access_log=root.choice("access_log", "none", among=("none", "stdout")),
        module=(path.parent / root.text("module", "../build/ai-nexus.wasm")).resolve(),
        plugins=(path.parent / root.text("plugins", "plugins")).resolve(),
    )
    names = [provider.name for provider in providers]
    if gateway.default_provider and all(names) and gateway.default_provider not in names:
        got = f"expected one of {', '.join(names)}, got the string {gateway.default_provider!r}"
        root.problem("default_provider", got)
    _check_ports(root, gateway)
    file.finish()
    return gateway


def faked(gateway: Gateway, host: str, first_port: int) -> Gateway:
    """Return *gateway* with each provider replaced by a fake one, in the order of their ports.

    Fake providers speak plain HTTP and need no key, and ``/v1`` is ``/v1``.
    """
    providers = tuple(
        replace(provider, host=host, port=port, tls=None, path_prefix="/v1", key_env=None)
        for port, provider in enumerate(gateway.providers, first_port)
    )
    return replace(gateway, providers=providers)


def _read_listeners(root: Section) -> tuple[Listener, ...]:
    listeners = []
    for section in root.sections("listeners", required=True):
        listeners.append(
            Listener(
                name=section.text("name", "http", pattern=_NAME, expected=_NAME_EXPECTED),
                address=_read_ip_address(section, "address"),
                port=section.required_integer("port", at_least=1, at_most=_HIGHEST_PORT),
            )
        )
    _check_unique(root, "listeners", [listener.name for listener in listeners])
    return tuple(listeners)


def _read_admin(section: Section) -> Admin:
    port = section.integer("port", 9901, at_least=1, at_most=_HIGHEST_PORT)
    return Admin(_read_ip_address(section, "address"), port)


def _read_providers(root: Section) -> tuple[Provider, ...]:
    providers = tuple(_read_provider(section) for section in root.sections("providers", required=True))
    _check_unique(root, "providers", [provider.name for provider in providers])
    return providers


def _read_provider(section: Section) -> Provider:
    name = section.text("name", pattern=_NAME, expected=_NAME_EXPECTED)
    host = section.text("host", pattern=_HOST, expected=_HOST_EXPECTED)
    tls = _read_tls(section.section("tls"), host) if "tls" in section else None
    section.ignore("tls")
    bounds = {"at_least": 1, "at_most": _HIGHEST_PORT}
    return Provider(
        name=name,
        host=host,
        port=section.integer("port", 443, **bounds) if tls else section.required_integer("port", **bounds),
        tls=tls,
        path_prefix=section.text(
            "path_prefix",
            "/v1",
            pattern=_PATH_PREFIX,
            expected="a path as '/v1', with no '/' at its end",
        ),
        key_env=section.optional_text(
            "key_env", pattern=_VARIABLE, expected="the name of an environment variable"
        ),
    )


def _read_tls(section: Section, host: str) -> Tls:
    name = None if is_ip_address(host) else host
    return Tls(
        sni=section.text("sni", name, pattern=_HOST, expected="a host name"),
        ca_file=section.text("ca_file", _DEFAULT_CA_FILE, pattern=r"/.+", expected="an absolute path"),
    )


def _read_timeouts(section: Section) -> Timeouts:
    day = 86_400
    return Timeouts(
        connect_s=section.number("connect_s", 5, at_least=0.001, at_most=day),
        headers_s=section.number("headers_s", 10, at_least=0, at_most=day),
        idle_s=section.number("idle_s", 600, at_least=0, at_most=day),
        response_s=section.number("response_s", 0, at_least=0, at_most=day),
    )


def _read_limits(section: Section) -> Limits:
    return Limits(
        body_bytes=section.integer("body_bytes", 32 << 20, at_least=1024, at_most=1 << 30),
        connections=section.integer("connections", 10_000, at_least=1, at_most=1_000_000),
    )


def _read_ip_address(section: Section, key: str) -> str:
    address = section.text(key, "127.0.0.1")
    if not is_ip_address(address):
        section.problem(key, f"expected an IP address, got the string {address!r}")
    return address


def _check_unique(root: Section, key: str, names: list[str]) -> None:
    for index, name in enumerate(names):
        if name and name in names[:index]:
            root.problem(f"{key}[{index}].name", f"{name!r} is the name of an earlier entry too")


def _check_ports(root: Section, gateway: Gateway) -> None:
    taken = {(gateway.admin.address, gateway.admin.port): "admin"}
    for index, listener in enumerate(gateway.listeners):
        place = (listener.address, listener.port)
        if place in taken:
            root.problem(f"listeners[{index}].port", f"{listener.port} is the port of {taken[place]} too")
        taken[place] = f"listeners[{index}]"
