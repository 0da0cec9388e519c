"""Reading ``gateway.yaml``: everything that is wrong with it, at once."""

import os
import re
from pathlib import Path

from .description import (
    DEFAULT_ROUTE,
    Admin,
    Gateway,
    Key,
    Limits,
    Listener,
    Provider,
    Retries,
    Route,
    Service,
    Timeouts,
    Tls,
    Upstream,
    is_ip_address,
    unreachable_routes,
)
from .reading import Section, YamlFile

__all__ = ["read_gateway"]

_NAME = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?")
_NAME_EXPECTED = "a name of lower-case letters, digits, '-', '_' and '.'"
# As Higress and Kubernetes call routes, so that one `ingress` rule can hold on both hosts.
_ROUTE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_./-]{0,251}[A-Za-z0-9])?")
_ROUTE_NAME_EXPECTED = "a name of letters, digits, '-', '_', '.' and '/'"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?")
_HOST_EXPECTED = "an IP address or a host name"
_DOMAIN = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_PATH_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_ROUTE_PATH = re.compile(f"/|{_PATH_PREFIX.pattern}")
_ABSOLUTE_PATH = re.compile("/.+")
_PATH_EXPECTED = "a path as '/v1', with no '/' at its end"
# Upper case, as variables of an environment are written: a key put here by mistake is none of that.
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_HIGHEST_PORT = 65535
_DAY_S = 86_400
_DEFAULT_CA_FILE = "/etc/ssl/certs/ca-certificates.crt"
# Those of Envoy's conditions that make sense for HTTP/1.1 and HTTP/2; statuses have a key of their own.
_RETRY_CONDITIONS = (
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "refused-stream",
    "retriable-4xx",
)
_WRITTEN_KEYS = ("key", "api_key", "apiKey", "token", "secret", "password", "authorization")


def read_gateway(path: Path) -> Gateway:
    """Read the gateway description at *path*; paths in it are relative to its directory.

    Raises DescriptionError with everything that is wrong.
    """
    file = YamlFile(path)
    root = file.root
    directory = path.parent
    catalog = root.optional_text("catalog")
    timeouts = root.section("timeouts")
    gateway = Gateway(
        listeners=_read_listeners(root),
        admin=_read_admin(root.section("admin")),
        providers=_read_providers(root, directory),
        default_provider=root.text("default_provider"),
        timeouts=Timeouts(
            connect_s=timeouts.number("connect_s", 5, at_least=0.001, at_most=_DAY_S),
            headers_s=timeouts.number("headers_s", 10, at_least=0, at_most=_DAY_S),
            idle_s=timeouts.number("idle_s", 600, at_least=0, at_most=_DAY_S),
            response_s=timeouts.number("response_s", 0, at_least=0, at_most=_DAY_S),
        ),
        limits=_read_limits(root.section("limits")),
        access_log=root.choice("access_log", "none", among=("none", "stdout")),
        module=_resolve(directory, root.text("module", default="../build/ai-nexus.wasm")),
        plugins=_resolve(directory, root.text("plugins", default="plugins")),
        routes=_read_routes(root),
        retries=_read_retries(root.section("retries")),
        services=_read_services(root),
        catalog=_resolve(directory, catalog) if catalog else None,
    )
    _check_provider_names(root, gateway)
    _check_service_names(root, gateway)
    _check_ports(root, gateway)
    file.finish()
    return gateway


def _resolve(directory: Path, written: str) -> Path:
    """Return an absolute path, through its symbolic links: they may point elsewhere tomorrow."""
    return Path(os.path.abspath(directory / written))


def _read_listeners(root: Section) -> tuple[Listener, ...]:
    listeners = []
    for section in root.sections("listeners", required=True):
        listeners.append(
            Listener(
                name=section.text("name", _NAME, _NAME_EXPECTED, "http"),
                address=_read_ip_address(section, "address"),
                port=section.required_integer("port", at_least=1, at_most=_HIGHEST_PORT),
            )
        )
    _check_unique(root, "listeners", [listener.name for listener in listeners])
    return tuple(listeners)


def _read_admin(section: Section) -> Admin:
    port = section.integer("port", 9901, at_least=1, at_most=_HIGHEST_PORT)
    return Admin(_read_ip_address(section, "address"), port)


def _read_providers(root: Section, directory: Path) -> tuple[Provider, ...]:
    sections = root.sections("providers", required=True)
    providers = tuple(_read_provider(section, directory) for section in sections)
    _check_unique(root, "providers", [provider.name for provider in providers])
    return providers


def _read_provider(section: Section, directory: Path) -> Provider:
    upstream = _read_upstream(section)
    return Provider(
        name=upstream.name,
        host=upstream.host,
        port=upstream.port,
        tls=upstream.tls,
        path_prefix=section.text("path_prefix", _PATH_PREFIX, _PATH_EXPECTED, "/v1"),
        key=_read_key(section, directory),
        service=section.optional_text("service"),
    )


def _read_services(root: Section) -> tuple[Service, ...]:
    upstreams = [_read_upstream(section) for section in root.sections("services")]
    _check_unique(root, "services", [upstream.name for upstream in upstreams])
    return tuple(
        Service(name=upstream.name, host=upstream.host, port=upstream.port, tls=upstream.tls)
        for upstream in upstreams
    )


def _read_upstream(section: Section) -> Upstream:
    name = section.text("name", _NAME, _NAME_EXPECTED)
    host = section.text("host", _HOST, _HOST_EXPECTED)
    tls = _read_tls(section.section("tls"), host) if "tls" in section else None
    section.ignore("tls")
    bounds = {"at_least": 1, "at_most": _HIGHEST_PORT}
    port = section.integer("port", 443, **bounds) if tls else section.required_integer("port", **bounds)
    return Upstream(name=name, host=host, port=port, tls=tls)


def _read_key(section: Section, directory: Path) -> Key | None:
    for name in _WRITTEN_KEYS:
        if name in section:
            section.ignore(name)
            section.problem(
                name,
                "a key does not belong into this file: "
                "name the variable that holds it under key_env, or its file under key_file",
            )
    variable = section.optional_text(
        "key_env", _VARIABLE, "the name of an environment variable, in upper case"
    )
    file = section.optional_text("key_file", expected="the path of a file that holds the key")
    if variable and file:
        section.problem("key_file", "expected nothing beside key_env: a provider has one key")
    if file:
        return Key(file=_resolve(directory, file))
    return Key(variable=variable) if variable else None


def _read_tls(section: Section, host: str) -> Tls:
    name = None if is_ip_address(host) else host
    return Tls(
        sni=section.text("sni", _HOST, "a host name", name),
        ca_file=section.text("ca_file", _ABSOLUTE_PATH, "an absolute path", _DEFAULT_CA_FILE),
    )


def _read_routes(root: Section) -> tuple[Route, ...]:
    """Read the routes; without any there is one for everything."""
    sections = root.sections("routes")
    routes = tuple(_read_route(section) for section in sections)
    _check_unique(root, "routes", [route.name for route in routes])
    if all(route.name and route.path_prefix for route in routes):
        for index, taker in unreachable_routes(routes):
            message = f"no request gets here: the route {taker.name!r} before it takes them all"
            sections[index].problem("", message)
    return routes or (Route(name=DEFAULT_ROUTE),)


def _read_route(section: Section) -> Route:
    domains = section.strings("domains", ())
    for index, domain in enumerate(domains):
        _check_domain(section, f"domains[{index}]", domain)
    prefix = section.text("path_prefix", _ROUTE_PATH, f"'/', or {_PATH_EXPECTED}", "/")
    timeouts = section.section("timeouts")
    return Route(
        name=section.text("name", _ROUTE_NAME, _ROUTE_NAME_EXPECTED),
        path_prefix=prefix,
        domains=domains,
        provider=section.optional_text("provider"),
        idle_s=_read_optional_duration(timeouts, "idle_s"),
        response_s=_read_optional_duration(timeouts, "response_s"),
    )


def _read_optional_duration(section: Section, key: str) -> float | None:
    given = key in section
    value = section.number(key, 0, at_least=0, at_most=_DAY_S)
    return value if given else None


def _read_limits(section: Section) -> Limits:
    return Limits(
        body_bytes=section.integer("body_bytes", 32 << 20, at_least=1024, at_most=1 << 30),
        connections=section.integer("connections", 10_000, at_least=1, at_most=1_000_000),
    )


def _read_retries(section: Section) -> Retries:
    default = Retries()
    retries = Retries(
        attempts=section.integer("attempts", default.attempts, at_least=1, at_most=10),
        conditions=_read_conditions(section, default.conditions),
        statuses=_read_statuses(section, default.statuses),
        try_s=section.number("try_s", default.try_s, at_least=0, at_most=_DAY_S),
        idle_s=section.number("idle_s", default.idle_s, at_least=0, at_most=_DAY_S),
        back_off_s=section.number("back_off_s", default.back_off_s, at_least=0.001, at_most=_DAY_S),
        back_off_limit_s=section.number(
            "back_off_limit_s", default.back_off_limit_s, at_least=0.001, at_most=_DAY_S
        ),
        budget_percent=section.number("budget_percent", default.budget_percent, at_least=0, at_most=100),
        budget_least=section.integer("budget_least", default.budget_least, at_least=0, at_most=1_000_000),
    )
    if retries.back_off_limit_s < retries.back_off_s:
        section.problem(
            "back_off_limit_s",
            f"expected at least back_off_s, which is {retries.back_off_s:g}, "
            f"got the number {retries.back_off_limit_s:g}",
        )
    return retries


def _read_conditions(section: Section, default: tuple[str, ...]) -> tuple[str, ...]:
    conditions = section.strings("conditions", default)
    for index, condition in enumerate(conditions):
        if condition not in _RETRY_CONDITIONS:
            expected = f"one of {', '.join(_RETRY_CONDITIONS)}"
            section.problem(f"conditions[{index}]", f"expected {expected}, got the string {condition!r}")
    return conditions


def _read_statuses(section: Section, default: tuple[int, ...]) -> tuple[int, ...]:
    value = section.value("statuses")
    if value is None:
        return default
    if not isinstance(value, list):
        section.refuse("statuses", "a list of statuses from 400 to 599", value)
        return default
    for index, status in enumerate(value):
        if not isinstance(status, int) or isinstance(status, bool) or not 400 <= status <= 599:
            section.refuse(f"statuses[{index}]", "a status from 400 to 599", status)
    return tuple(value)


def _read_ip_address(section: Section, key: str) -> str:
    address = section.text(key, default="127.0.0.1")
    if not is_ip_address(address):
        section.problem(key, f"expected an IP address, got the string {address!r}")
    return address


def _check_domain(section: Section, key: str, domain: str) -> None:
    if not _DOMAIN.fullmatch(domain):
        expected = "a host name in lower case and without port, or '*.' and the end of one"
        section.problem(key, f"expected {expected}, got the string {domain!r}")


def _check_unique(root: Section, key: str, names: list[str]) -> None:
    for index, name in enumerate(names):
        if name and name in names[:index]:
            root.problem(f"{key}[{index}].name", f"{name!r} is the name of an earlier entry too")


def _check_provider_names(root: Section, gateway: Gateway) -> None:
    """Note names of providers that are not there; a list of providers with holes proves nothing."""
    names = [provider.name for provider in gateway.providers]
    if not names or not all(names):
        return
    wanted = {f"routes[{index}].provider": route.provider for index, route in enumerate(gateway.routes)}
    for key, name in [("default_provider", gateway.default_provider), *wanted.items()]:
        if name and name not in names:
            root.problem(key, f"expected one of {', '.join(names)}, got the string {name!r}")


def _check_service_names(root: Section, gateway: Gateway) -> None:
    """Note services that are called like a provider: both are clusters, and a provider can be routed to."""
    names = [provider.name for provider in gateway.providers]
    for index, service in enumerate(gateway.services):
        if service.name and service.name in names:
            root.problem(f"services[{index}].name", f"{service.name!r} is the name of a provider too")


def _check_ports(root: Section, gateway: Gateway) -> None:
    taken = {(gateway.admin.address, gateway.admin.port): "admin"}
    for index, listener in enumerate(gateway.listeners):
        place = (listener.address, listener.port)
        if place in taken:
            root.problem(f"listeners[{index}].port", f"{listener.port} is the port of {taken[place]} too")
        taken[place] = f"listeners[{index}]"
