"""The configuration of the circuit breaker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from aigateway.catalog import DEFAULT_CATALOG, Catalog, read_catalog
from aigateway.config import Reader

from .directory import Directory, Scope

__all__ = [
    "Attempts",
    "Bounds",
    "Check",
    "Config",
    "Credentials",
    "Limits",
    "Method",
    "OnAllShut",
    "OnContentFilter",
    "OnContextExceeded",
    "Settings",
    "Surroundings",
]

Method = Literal["GET", "HEAD", "POST"]
Credentials = Literal["gateway", "caller"]
OnAllShut = Literal["refuse", "last_resort"]
Attempts = Literal["downstream", "upstream"]
OnContextExceeded = Literal["stop", "larger"]
OnContentFilter = Literal["stop", "next"]

_AN_HOUR_S = 3_600.0
_A_DAY_S = 86_400.0
_MOST_TOKENS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """When a breaker opens, for how long, and how it closes."""

    failures: int = 3
    """Failures in a row that open it."""
    window_s: float = 60.0
    """The window that the shares below are of."""
    window_requests: int = 20
    """Requests in it below which a share says nothing."""
    failure_rate: float = 0.5
    """Share of failures that opens it; 0: none does."""
    slow_rate: float = 0.0
    """Share of slow calls that opens it; 0: none does."""
    open_s: float = 60.0
    open_limit_s: float = 600.0
    """The longest it stays open, before jitter."""
    growth: float = 2.0
    """Factor to `open_s` for each opening that follows soon on another."""
    repeat_s: float = 600.0
    """How soon after its closing that is."""
    jitter: float = 0.1
    """Every deadline of our own is up to this share later."""
    rate_limit_s: float = 30.0
    """How long a 429 without `Retry-After` shuts a provider out."""
    retry_after_limit_s: float = 3_600.0
    """A longer `Retry-After` counts as this."""
    unauthorized_s: float = 300.0
    """How long a refused key shuts a provider out."""
    probes: int = 2
    """Requests that may be on their way to a half-open provider at a time, over all workers."""
    successes: int = 2
    """Answered probes that close it."""
    probe_expiry_s: float = 60.0
    """After this a probe that was not heard of makes room for another."""
    check_s: float = 0.0
    """How often the breaker itself asks an open provider; 0: never. Grows like `open_s`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is too slow, and whose keys are used."""

    slow_call_s: float = 0.0
    """A good answer that takes longer is a slow call; 0: none is."""
    first_token_s: float = 60.0
    """A stream that begins later is a failure; 0: none is."""
    answer_s: float = 0.0
    """An answer in one piece that an attempt has to wait longer for is one; 0: as long as the proxy waits."""
    credentials: Credentials = "gateway"
    """Who brings the key. If it is the caller, a refused key says nothing about the provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What all attempts at one request may take together, and which of its errors do not end it."""

    deadline_s: float = 300.0
    """From the first attempt until something of an answer is there. 0: no limit."""
    limit_nano_usd: int = 0
    """What attempts without an answer may have cost, with the most that the next may; 0: no limit."""
    assumed_output_tokens: int = 4_096
    """What is answered at most, where neither the request nor the catalog have a limit."""
    on_context_exceeded: OnContextExceeded = "larger"
    on_content_filter: OnContentFilter = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the gateway is like, where the upstream filter has to know; its renderer says it."""

    path_prefixes: Mapping[str, str] = field(default_factory=dict)
    """What stands for `/v1` at a cluster, where that is not `/v1`."""
    timeout_s: float = 0.0
    """How long the proxy waits for an attempt; 0: for ever."""
    keyed_clusters: frozenset[str] = frozenset()
    """Clusters that put in a key of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The request by which an open provider is checked."""

    method: Method = "GET"
    path: str = "/v1/models"
    authority: str = ""
    """The host to ask for; empty: the name of the cluster."""
    body: str = ""
    """JSON, for `POST`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration of the plugin `ai-provider-circuit-breaker`."""

    scope: Scope = "provider"
    """Whether there is one breaker per provider, or one per model of it."""
    breaker: Settings = Settings()
    limits: Limits = Limits()
    directory: Directory = field(
        default_factory=lambda: Directory(DEFAULT_CATALOG, "provider"), repr=False, compare=False
    )
    """The catalog, ready to be searched."""
    checks: Mapping[str, Check] = field(default_factory=dict)
    """How to check a provider, by its name, where that is not as usual."""
    check_timeout_s: float = 5.0
    on_all_shut: OnAllShut = "refuse"
    """What becomes of a request when no provider may be tried: 503, or the provider that is least shut."""
    half_life_s: float = 300.0
    """After this long a latency counts half."""
    attempts: Attempts = "downstream"
    """Which filter settles attempts: this one, of which there is one per request, or one per attempt."""
    bounds: Bounds = Bounds()
    surroundings: Surroundings = Surroundings()

    @classmethod
    def from_json(cls, value: object) -> "Config":
        """Read a configuration, or raise `ConfigError` with everything that is wrong with it."""
        reader = Reader(value)
        default = cls()
        check = reader.table("check")
        catalog = read_catalog(reader)
        scope = reader.choice("scope", default.scope, among=("provider", "model"))
        config = cls(
            scope=scope,
            breaker=_settings(reader, check),
            limits=_limits(reader),
            directory=Directory(catalog, scope),
            checks=_checks(check, catalog),
            check_timeout_s=check.number(
                "timeout_s", default.check_timeout_s, at_least=0.1, at_most=_AN_HOUR_S
            ),
            on_all_shut=reader.choice("on_all_shut", default.on_all_shut, among=("refuse", "last_resort")),
            half_life_s=reader.number("half_life_s", default.half_life_s, at_least=1, at_most=_A_DAY_S),
            attempts=reader.choice("attempts", default.attempts, among=("downstream", "upstream")),
            bounds=_bounds(reader.table("chain")),
            surroundings=_surroundings(reader.table("gateway")),
        )
        reader.finish()
        return config


def _settings(reader: Reader, check: Reader) -> Settings:
    default = Settings()
    opening, shut, probing = reader.table("open_after"), reader.table("shut_for"), reader.table("half_open")
    settings = Settings(
        failures=opening.integer("failures", default.failures, at_least=1, at_most=1_000),
        window_s=_seconds(opening, "window_s", default.window_s),
        window_requests=opening.integer("window_requests", default.window_requests, at_least=1),
        failure_rate=opening.number("failure_rate", default.failure_rate, at_least=0, at_most=1),
        slow_rate=opening.number("slow_rate", default.slow_rate, at_least=0, at_most=1),
        open_s=_seconds(shut, "open_s", default.open_s),
        open_limit_s=_seconds(shut, "open_limit_s", default.open_limit_s),
        growth=shut.number("growth", default.growth, at_least=1, at_most=10),
        repeat_s=shut.number("repeat_s", default.repeat_s, at_least=0, at_most=_A_DAY_S),
        jitter=shut.number("jitter", default.jitter, at_least=0, at_most=1),
        rate_limit_s=_seconds(shut, "rate_limit_s", default.rate_limit_s),
        retry_after_limit_s=_seconds(shut, "retry_after_limit_s", default.retry_after_limit_s),
        unauthorized_s=_seconds(shut, "unauthorized_s", default.unauthorized_s),
        probes=probing.integer("probes", default.probes, at_least=1, at_most=100),
        successes=probing.integer("successes", default.successes, at_least=1, at_most=100),
        probe_expiry_s=_seconds(probing, "probe_expiry_s", default.probe_expiry_s),
        check_s=check.number("every_s", default.check_s, at_least=0, at_most=_AN_HOUR_S),
    )
    if settings.open_limit_s < settings.open_s:
        shut.refuse("open_limit_s", f"at least open_s, which is {settings.open_s:g}", settings.open_limit_s)
    return settings


def _limits(reader: Reader) -> Limits:
    default = Limits()
    return Limits(
        slow_call_s=reader.number("slow_call_s", default.slow_call_s, at_least=0, at_most=_AN_HOUR_S),
        first_token_s=reader.number("first_token_s", default.first_token_s, at_least=0, at_most=_AN_HOUR_S),
        answer_s=reader.number("answer_s", default.answer_s, at_least=0, at_most=_A_DAY_S),
        credentials=reader.choice("credentials", default.credentials, among=("gateway", "caller")),
    )


def _bounds(chain: Reader) -> Bounds:
    default = Bounds()
    return Bounds(
        deadline_s=chain.number("deadline_s", default.deadline_s, at_least=0, at_most=_A_DAY_S),
        limit_nano_usd=chain.amount_usd("limit_usd", default.limit_nano_usd),
        assumed_output_tokens=chain.integer(
            "assumed_output_tokens", default.assumed_output_tokens, at_least=1, at_most=_MOST_TOKENS
        ),
        on_context_exceeded=chain.choice(
            "on_context_exceeded", default.on_context_exceeded, among=("stop", "larger")
        ),
        on_content_filter=chain.choice(
            "on_content_filter", default.on_content_filter, among=("stop", "next")
        ),
    )


def _surroundings(gateway: Reader) -> Surroundings:
    prefixes = gateway.table("path_prefixes")
    return Surroundings(
        path_prefixes={cluster: prefixes.string(cluster, "") for cluster in prefixes},
        timeout_s=gateway.number("timeout_s", 0.0, at_least=0, at_most=_A_DAY_S),
        keyed_clusters=frozenset(gateway.strings("keyed_clusters", ())),
    )


def _checks(reader: Reader, catalog: Catalog) -> Mapping[str, Check]:
    """Read the requests of single providers; each names a provider of the catalog."""
    default = Check()
    providers = {model.provider for model in catalog}
    checks: dict[str, Check] = {}
    for entry in reader.tables("requests"):
        provider = entry.string("provider", "")
        if provider not in providers:
            entry.refuse(
                "provider", f"a provider of the catalog ({', '.join(sorted(providers))})", provider or None
            )
        checks[provider] = Check(
            method=entry.choice("method", default.method, among=("GET", "HEAD", "POST")),
            path=entry.string("path", default.path),
            authority=entry.string("authority", default.authority),
            body=entry.string("body", default.body),
        )
    return checks


def _seconds(reader: Reader, key: str, default: float) -> float:
    """Read a time that a day is long enough for, and that is not so short that nothing is gained by it."""
    return reader.number(key, default, at_least=0.1, at_most=_A_DAY_S)
