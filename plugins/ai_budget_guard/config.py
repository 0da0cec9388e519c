"""The configuration of the guard: limits, prices, and what is done where something is not known."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from aigateway.catalog import DEFAULT_CATALOG, Catalog, Model, Prices, read_catalog
from aigateway.config import Reader

from .ledger_config import RedisLedger, read_ledger
from .limits import DEFAULT_LIMITS, Limit, read_limits

__all__ = ["Config", "LimitMember", "OnMissingUsage", "OnOtherRequests", "Role"]

Role: TypeAlias = Literal["guard", "announce"]
LimitMember: TypeAlias = Literal["max_completion_tokens", "max_tokens"]
OnMissingUsage: TypeAlias = Literal["count", "charge_reserved"]
OnOtherRequests: TypeAlias = Literal["pass", "refuse"]

_HEADER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_STATUSES: Final = ("402", "403", "422", "429")
_LARGEST_PRICE: Final = 10**9
_LARGEST_COUNT: Final = 10**9
_A_PRICE: Final = f"a whole number of nano-USD per token from 0 to {_LARGEST_PRICE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration of the plugin `ai-budget-guard`."""

    role: Role = "guard"
    """`announce`: only tell the plugins after this one what the caller can still spend."""

    limits: tuple[Limit, ...] = DEFAULT_LIMITS
    consumer_header: str = "x-mse-consumer"
    trust_signals: bool = True
    """Whether the headers x-ai-* come from plugins before this one; without any, clients can send them."""

    catalog: Catalog = DEFAULT_CATALOG
    unknown_model_prices: Prices | None = None
    """What a model costs that is not in the catalog; `None`: requests for it are refused."""

    prompt_margin_percent: int = 15
    """By how much the estimate of the prompt may be too low."""
    assumed_output_tokens: int = 4_096
    """What is reserved for an answer that neither the request nor the model limits."""
    clamp_output_tokens: int | None = None
    """No request may ask for more; one without a limit gets this one. `None`: requests keep theirs."""
    chat_limit_member: LimitMember = "max_completion_tokens"
    """How a chat completion without a limit is given one."""
    ask_for_usage: bool = True
    """Whether streams are asked for their usage when the client has not; that event is taken out again."""
    on_missing_usage: OnMissingUsage = "count"
    """What an answer costs whose usage is not reported: what was said, or all that was reserved."""
    on_other_requests: OnOtherRequests = "pass"
    """What becomes of requests with a body that ask no model for text: embeddings, images, audio."""

    refusal_status: int = 429
    show_shared_limits: bool = False
    """Whether callers are told amounts of limits that they share with others."""

    ledger: RedisLedger | None = None
    """Where the accounts are, if not in the shared data of the proxy."""
    reservation_s: int = 900
    """After this long without being renewed a reservation is returned."""
    slots: int = 16_384
    """How many values of the shared data each limit has its accounts in."""
    max_body_bytes: int = 16 * 1024 * 1024

    by_upstream_name: Mapping[str, tuple[Model, ...]] = field(
        default_factory=lambda: _by_upstream_name(DEFAULT_CATALOG)
    )
    """The models by what providers call them; made from the catalog."""

    @classmethod
    def from_json(cls, value: object) -> "Config":
        """Read a configuration, or raise `ConfigError` with everything that is wrong with it."""
        reader = Reader(value)
        default = cls()
        catalog = read_catalog(reader)
        limits = read_limits(reader)
        config = cls(
            role=reader.choice("role", default.role, among=("guard", "announce")),
            limits=limits,
            consumer_header=reader.text(
                "consumer_header", _HEADER, "the name of a header", default.consumer_header
            ).lower(),
            trust_signals=reader.boolean("trust_signals", default.trust_signals),
            catalog=catalog,
            unknown_model_prices=_read_unknown(reader),
            prompt_margin_percent=reader.integer(
                "prompt_margin_percent", default.prompt_margin_percent, at_least=0, at_most=1_000
            ),
            assumed_output_tokens=reader.integer(
                "assumed_output_tokens", default.assumed_output_tokens, at_least=1, at_most=_LARGEST_COUNT
            ),
            clamp_output_tokens=_read_clamp(reader),
            chat_limit_member=reader.choice(
                "chat_limit_member",
                default.chat_limit_member,
                among=("max_completion_tokens", "max_tokens"),
            ),
            ask_for_usage=reader.boolean("ask_for_usage", default.ask_for_usage),
            on_missing_usage=reader.choice(
                "on_missing_usage", default.on_missing_usage, among=("count", "charge_reserved")
            ),
            on_other_requests=reader.choice(
                "on_other_requests", default.on_other_requests, among=("pass", "refuse")
            ),
            refusal_status=_read_status(reader, default.refusal_status),
            show_shared_limits=reader.boolean("show_shared_limits", default.show_shared_limits),
            ledger=read_ledger(reader, limits),
            reservation_s=reader.integer("reservation_s", default.reservation_s, at_least=60, at_most=86_400),
            slots=reader.integer("slots", default.slots, at_least=1, at_most=1_000_000),
            max_body_bytes=reader.integer("max_body_bytes", default.max_body_bytes, at_least=1),
            by_upstream_name=_by_upstream_name(catalog),
        )
        reader.finish()
        return config


def _read_unknown(reader: Reader) -> Prices | None:
    """Read what a model costs that is not in the catalog."""
    key = "on_unknown_model"
    value = reader.value(key)
    if value is None or value == "refuse":
        return None
    if not isinstance(value, Mapping):
        reader.refuse(key, "'refuse' or the prices {input, output} in nano-USD per token", value)
        return None
    table = reader.table(key)
    for name in ("input", "output"):
        if name not in table:
            table.refuse(name, _A_PRICE, None)
    input_price = table.integer("input", 0, at_least=0, at_most=_LARGEST_PRICE)
    return Prices(
        input=input_price,
        output=table.integer("output", 0, at_least=0, at_most=_LARGEST_PRICE),
        cached_input=table.integer("cached_input", input_price, at_least=0, at_most=_LARGEST_PRICE),
        cache_write=table.integer("cache_write", input_price, at_least=0, at_most=_LARGEST_PRICE),
    )


def _read_clamp(reader: Reader) -> int | None:
    key = "clamp_output_tokens"
    return reader.integer(key, 1, at_least=1, at_most=_LARGEST_COUNT) if key in reader else None


def _read_status(reader: Reader, default: int) -> int:
    value = reader.value("refusal_status")
    if value is None:
        return default
    if isinstance(value, int) and not isinstance(value, bool) and str(value) in _STATUSES:
        return value
    reader.refuse("refusal_status", f"one of {', '.join(_STATUSES)}", value)
    return default


def _by_upstream_name(catalog: Catalog) -> Mapping[str, tuple[Model, ...]]:
    found: dict[str, tuple[Model, ...]] = {}
    for model in catalog:
        found[model.upstream_name] = (*found.get(model.upstream_name, ()), model)
    return found
