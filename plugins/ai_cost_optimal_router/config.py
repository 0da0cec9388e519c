"""The configuration of the router: the catalog, the constraints, the names, and every strategy's settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from aigateway.catalog import DEFAULT_CATALOG, DOMAINS, Catalog, read_catalog
from aigateway.config import Reader
from aigateway.money import parse_usd

from .feedback import Feedback, read_feedback
from .knowledge import Refresh, read_refresh
from .learning import Learning, read_learning
from .market import Expectation, LatencyRule
from .strategies import STRATEGIES, Strategy, read_strategies

__all__ = [
    "Alias",
    "Config",
    "OnExplicitModel",
    "OnInfeasible",
    "OnRefusable",
    "OnUnknownModel",
    "Policy",
]

OnExplicitModel: TypeAlias = Literal["honour", "override", "refuse"]
OnUnknownModel: TypeAlias = Literal["refuse", "route"]
OnInfeasible: TypeAlias = Literal["best_quality", "refuse"]
OnRefusable: TypeAlias = Literal["refuse", "pass"]

_QUALITY_FLOOR: Final = 0.72
_LARGEST_COUNT: Final = 10**9
_NO_LIMIT: Final = "an amount in US dollars above 0 with at most 9 decimals"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What holds for a consumer."""

    quality_floor: float | None = None
    """In place of those by domain; `None`: those hold."""
    allow: tuple[str, ...] = ()
    """The only models there are, by name or pattern; none: all."""
    deny: tuple[str, ...] = ()
    """Models that may not be used."""
    regions: frozenset[str] = frozenset()
    """The model must run in one of these; none: anywhere."""
    max_cost_nano_usd: int | None = None
    """What a request may cost at most, as estimated."""
    strategy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A name for models, made up by the operator."""

    models: tuple[str, ...]
    """Names or patterns; of several the strategy chooses."""
    strategy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration of the plugin `ai-cost-optimal-router`."""

    catalog: Catalog = DEFAULT_CATALOG

    strategy: str = "cost_optimal"
    allowed_strategies: tuple[str, ...] = tuple(STRATEGIES)
    """What a request may ask for with the header x-router-strategy."""
    strategies: Mapping[str, Strategy] = field(
        default_factory=lambda: {name: kind() for name, kind in STRATEGIES.items()}
    )

    quality_floor: float = _QUALITY_FLOOR
    quality_floors: Mapping[str, float] = field(default_factory=dict)
    """By domain, in place of `quality_floor`."""
    policy: Policy = Policy()
    """For everyone without one of his own."""
    consumers: Mapping[str, Policy] = field(default_factory=dict)
    require_tier: bool = True
    """Whether the tier that the tuner found is a constraint."""
    on_infeasible: OnInfeasible = "best_quality"
    """When quality floor, domain, latency class and tier leave nothing: give them up, or refuse."""

    auto_models: tuple[str, ...] = ("auto",)
    """The names that leave the choice to the router."""
    aliases: Mapping[str, Alias] = field(default_factory=dict)
    on_explicit_model: OnExplicitModel = "honour"
    on_unknown_model: OnUnknownModel = "refuse"

    expected_output_tokens: Expectation = field(default_factory=Expectation)
    """How long answers are before anything is learnt."""
    unset_output_tokens: int = 1024
    """What a request that sets no limit of its output is given room and money for."""
    prompt_margin: float = 0.0
    """By what share the estimate of the prompt may be too low, where it is held against context windows."""
    budget_margin: float = 0.1
    """The same where it is held against a budget."""
    latency: LatencyRule = field(default_factory=LatencyRule)
    knowledge: Refresh = field(default_factory=Refresh)
    learning: Learning = field(default_factory=Learning)
    feedback: Feedback = field(default_factory=Feedback)

    consumer_header: str = "x-mse-consumer"
    trust_signals: bool = True
    """Whether the headers x-ai-* come from plugins before this one; without any, clients can send them."""
    audit: bool = True
    """Whether the record of each decision is left in the property `ai_nexus.router` for access logs."""
    on_invalid: OnRefusable = "refuse"
    """What becomes of a request on a known path that no model could answer: status 400, or on as it is."""
    max_body_bytes: int = 16 * 1024 * 1024
    """Larger bodies are not read."""
    on_too_large: OnRefusable = "refuse"
    """What becomes of those: status 413, or on as they are, without a choice."""

    @classmethod
    def from_json(cls, value: object) -> "Config":
        """Read a configuration, or raise `ConfigError` with everything that is wrong with it."""
        reader = Reader(value)
        default = cls()
        names = tuple(STRATEGIES)
        catalog = read_catalog(reader)
        everyone = _read_policy(reader, Policy(), catalog, names=None)
        auto_models = reader.strings("auto_models", default.auto_models)
        config = cls(
            catalog=catalog,
            strategy=reader.choice("strategy", default.strategy, among=names),
            allowed_strategies=_choices(reader, "allowed_strategies", names),
            strategies=read_strategies(reader, catalog),
            quality_floor=reader.number("quality_floor", default.quality_floor, at_least=0, at_most=1),
            quality_floors=_read_floors(reader.table("quality_floors")),
            policy=everyone,
            consumers=_read_consumers(reader, everyone, catalog),
            require_tier=reader.boolean("require_tier", default.require_tier),
            on_infeasible=reader.choice(
                "on_infeasible", default.on_infeasible, among=("best_quality", "refuse")
            ),
            auto_models=auto_models,
            aliases=_read_aliases(reader, catalog, names, auto_models),
            on_explicit_model=reader.choice(
                "on_explicit_model", default.on_explicit_model, among=("honour", "override", "refuse")
            ),
            on_unknown_model=reader.choice(
                "on_unknown_model", default.on_unknown_model, among=("refuse", "route")
            ),
            expected_output_tokens=_read_expectation(reader.table("expected_output_tokens")),
            unset_output_tokens=reader.integer(
                "unset_output_tokens", default.unset_output_tokens, at_least=1, at_most=_LARGEST_COUNT
            ),
            prompt_margin=reader.number("prompt_margin", default.prompt_margin, at_least=0, at_most=1),
            budget_margin=reader.number("budget_margin", default.budget_margin, at_least=0, at_most=1),
            latency=_read_latency(reader.table("latency")),
            knowledge=read_refresh(reader),
            learning=read_learning(reader),
            feedback=read_feedback(reader),
            consumer_header=reader.string("consumer_header", default.consumer_header).lower(),
            trust_signals=reader.boolean("trust_signals", default.trust_signals),
            audit=reader.boolean("audit", default.audit),
            on_invalid=reader.choice("on_invalid", default.on_invalid, among=("refuse", "pass")),
            max_body_bytes=reader.integer("max_body_bytes", default.max_body_bytes, at_least=1),
            on_too_large=reader.choice("on_too_large", default.on_too_large, among=("refuse", "pass")),
        )
        reader.finish()
        return config


def _choices(reader: Reader, key: str, among: Sequence[str]) -> tuple[str, ...]:
    """Read a list of known words."""
    words = reader.strings(key, tuple(among))
    for index, word in enumerate(words):
        if word not in among:
            reader.refuse(f"{key}[{index}]", f"one of {', '.join(among)}", word)
    return words


def _patterns(reader: Reader, key: str, default: tuple[str, ...], catalog: Catalog) -> tuple[str, ...]:
    patterns = reader.strings(key, default)
    if patterns is not default:
        for index, pattern in enumerate(patterns):
            if not catalog.matching(pattern):
                reader.refuse(f"{key}[{index}]", "a model of the catalog", pattern)
    return patterns


def _read_floors(table: Reader) -> Mapping[str, float]:
    floors = {domain: table.number(domain, -1.0, at_least=0, at_most=1) for domain in DOMAINS}
    return {domain: floor for domain, floor in floors.items() if floor >= 0}


def _read_policy(reader: Reader, default: Policy, catalog: Catalog, *, names: Sequence[str] | None) -> Policy:
    """Read what holds for a consumer, or, without *names* of strategies, for everyone."""
    quality_floor, strategy = default.quality_floor, default.strategy
    if names is not None:
        floor = reader.number("quality_floor", -1.0, at_least=0, at_most=1)
        quality_floor = floor if floor >= 0 else None
        strategy = reader.choice("strategy", "", among=names) or None
    return Policy(
        quality_floor=quality_floor,
        allow=_patterns(reader, "allow", default.allow, catalog),
        deny=_patterns(reader, "deny", default.deny, catalog),
        regions=_read_regions(reader, default.regions, catalog),
        max_cost_nano_usd=_read_limit(reader, "max_cost_usd", default.max_cost_nano_usd),
        strategy=strategy,
    )


def _read_regions(reader: Reader, default: frozenset[str], catalog: Catalog) -> frozenset[str]:
    """Read regions; one without a model would only keep every request out."""
    regions = reader.strings("regions", tuple(default))
    known = sorted({region for model in catalog for region in model.regions})
    for index, region in enumerate(regions):
        if region not in known and region not in default:
            reader.refuse(
                f"regions[{index}]", f"a region of the catalog: {', '.join(known) or 'none'}", region
            )
    return frozenset(regions)


def _read_limit(reader: Reader, key: str, default: int | None) -> int | None:
    """Read an amount of dollars as a whole number of nano-USD."""
    amount = reader.number(key, -1.0, above=0)
    if amount < 0:
        return default
    try:
        return parse_usd(amount)
    except ValueError:
        reader.refuse(key, _NO_LIMIT, amount)
        return default


def _read_consumers(reader: Reader, everyone: Policy, catalog: Catalog) -> Mapping[str, Policy]:
    table = reader.table("consumers")
    return {
        name: _read_policy(table.table(name), everyone, catalog, names=tuple(STRATEGIES)) for name in table
    }


def _read_aliases(
    reader: Reader, catalog: Catalog, strategies: Sequence[str], auto_models: Sequence[str]
) -> Mapping[str, Alias]:
    """Read aliases: `name: model`, `name: [models]` or `name: {models, strategy}`."""
    table = reader.table("aliases")
    aliases: dict[str, Alias] = {}
    for name in table:
        inner = table.value(name)
        if name in auto_models:
            table.refuse(name, "another name: this one is among auto_models", inner)
            continue
        if isinstance(inner, Mapping):
            section = table.table(name)
            models = _patterns(section, "models", (), catalog)
            if not models:
                section.refuse("models", "at least one model", None)
            aliases[name] = Alias(
                models=models, strategy=section.choice("strategy", "", among=strategies) or None
            )
        elif isinstance(inner, str):
            model = table.string(name, "")
            if model and not catalog.matching(model):
                table.refuse(name, "a model of the catalog", model)
            aliases[name] = Alias(models=(model,))
        else:
            models = _patterns(table, name, (), catalog)
            if not models and (inner is None or isinstance(inner, list | tuple)):
                table.refuse(name, "a model, a list of models, or {models, strategy}", inner)
            aliases[name] = Alias(models=models)
    return aliases


def _read_expectation(table: Reader) -> Expectation:
    default = Expectation()
    given = {domain: table.integer(domain, 0, at_least=1, at_most=_LARGEST_COUNT) for domain in DOMAINS}
    return Expectation(
        by_domain={domain: tokens for domain, tokens in given.items() if tokens},
        otherwise=table.integer("otherwise", default.otherwise, at_least=1, at_most=_LARGEST_COUNT),
    )


def _read_latency(table: Reader) -> LatencyRule:
    default = LatencyRule()
    return LatencyRule(
        measure=table.choice(
            "measure", default.measure, among=("p95_ms", "p50_ms", "ewma_ms", "ttft_p95_ms")
        ),
        half_life_s=table.number("half_life_s", default.half_life_s, above=0),
        prior_samples=table.number("prior_samples", default.prior_samples, at_least=0),
        refresh_s=table.number("refresh_s", default.refresh_s, at_least=0.1, at_most=3600),
        assumed_ms=table.number("assumed_ms", default.assumed_ms, at_least=0),
    )
