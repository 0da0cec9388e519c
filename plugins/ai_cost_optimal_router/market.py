"""The catalog laid out for fast questions: which models can do this, and what does it cost there.

Models are numbered from the best quality down, equals in the order of the catalog. So a set of models is one
integer, bit *i* for model *i*; to intersect sets is one `&`, to count them one `bit_count`, and wherever
scores are equal the lower number is the one to take: ties go by quality, then by stable order.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aigateway.catalog import Catalog, Model
from aigateway.health import LatencyStats

from .situation import ANY_MODEL

__all__ = [
    "Expectation",
    "LatencyRule",
    "LatencyView",
    "Market",
    "Outputs",
    "Sizes",
    "numbers_in",
    "output_cell",
]

_REMEMBERED: Final = 1024
"""Results of one kind that are kept; more are begun anew, so that strange requests cannot fill the memory."""

_REMEMBERED_MEMBERS: Final = 256
_REMEMBERED_OUTPUTS: Final = 64

_STEPS_PER_DOUBLING: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """How long answers are expected to be where nothing has been learnt."""

    by_domain: Mapping[str, int] = field(default_factory=dict)
    otherwise: int = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRule:
    """What is made of measured latencies."""

    measure: str = "p95_ms"
    """Which of the figures of `LatencyStats`."""
    half_life_s: float = 60.0
    """After this time without news, a figure is half forgotten."""
    prior_samples: float = 5.0
    """With this many samples, a figure counts half."""
    refresh_s: float = 5.0
    """Time passes in steps of this length."""
    assumed_ms: float = 2000.0
    """Stands in where nothing is known of anyone."""


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """How many tokens each model is expected to answer with, for one domain."""

    expected: Sequence[int]
    bounds: Sequence[int]
    """The different expectations, ascending. For a limit between two neighbours, each model's output is
    either the limit or a constant, so costs are linear there."""


@dataclass(frozen=True, slots=True, eq=False)
class LatencyView:
    """What latency models are taken to have at some time.

    Models that cannot but have the same latency are a group: those of one provider, but for each model that
    is measured by itself.
    """

    group_of: Sequence[int]
    """The group of each model."""
    groups: Sequence[int]
    """The models of each group, as a set."""
    group_ms: Sequence[float]
    """The latency of each group."""
    alone: int
    """The models that are groups of their own, as a set."""
    stale: int
    """The models of which nothing recent is known while something is known of others."""

    def ms(self, number: int) -> float:
        """Return the latency of a model."""
        return self.group_ms[self.group_of[number]]


class _Lesson(NamedTuple):
    """What was made of the lengths that were learnt for one domain."""

    learnt: Mapping[str, float]
    usual: int
    """What is expected of models of which nothing was learnt."""
    outputs: Outputs


class Market:
    """All models of a catalog, ready to be asked."""

    def __init__(self, catalog: Catalog, expectation: Expectation, latency_rule: LatencyRule) -> None:
        models = sorted(catalog, key=lambda model: -model.quality)
        self.models: Final = tuple(models)
        self.everything: Final = (1 << len(models)) - 1
        self.count: Final = len(models)
        self.qualities: Final = tuple(model.quality for model in models)
        self.input_prices: Final = tuple(model.prices.input for model in models)
        self.output_prices: Final = tuple(model.prices.output for model in models)
        self.dearest_input_prices: Final = tuple(
            max(model.prices.input, model.prices.cache_write) for model in models
        )
        self.output_limits: Final = tuple(model.max_output_tokens for model in models)
        self._provider_names = names = sorted({model.provider for model in models})
        self.providers: Final = tuple(names.index(model.provider) for model in models)
        self.of_provider: Final = tuple(
            self.where(lambda model, name=name: model.provider == name)  # type: ignore[misc]
            for name in names
        )
        self._of_tier = _sets((model.tier, number) for number, model in enumerate(models) if model.tier)
        self.keys: Final = tuple(model.key for model in models)
        self._number_of = {model.key: number for number, model in enumerate(models)}
        self.windows: Final = Sizes([model.context_window_tokens for model in models])
        self.most_output: Final = Sizes([model.max_output_tokens for model in models])
        self._catalog = catalog
        self._expectation = expectation
        self._latency_rule = latency_rule
        self._matching: dict[str, int] = {}
        self._badness = [-quality for quality in self.qualities]
        self._provider_counts: dict[int, int] = {}
        self._highest_prices: dict[int, tuple[int, int, int]] = {}
        self._priced_up_to: dict[int, int] = {}
        self._members: dict[int, tuple[int, ...]] = {}
        self._learnt: Mapping[str, Mapping[str, float]] | None = None
        self._outputs: dict[str, Outputs] = {}
        self._lessons: dict[str, _Lesson] = {}
        self._all_outputs: dict[tuple[int, ...], Outputs] = {}
        self._measured: Mapping[str, LatencyStats] | None = None
        self._latency_step = -1
        self._latencies = self._view({}, 0.0)

    def where(self, holds: Callable[[Model], bool]) -> int:
        """Return the set of models for which something holds."""
        return sum(1 << number for number, model in enumerate(self.models) if holds(model))

    def set_of(self, models: Iterable[Model]) -> int:
        """Return *models* as a set."""
        return sum(1 << self._number_of[model.key] for model in set(models))

    def number_of(self, key: str) -> int | None:
        """Return the number of the model that `provider/model` names."""
        return self._number_of.get(key)

    def matching(self, pattern: str) -> int:
        """Return the set of models that a name or a pattern with `*` stands for."""
        found = self._matching.get(pattern)
        if found is None:
            if len(self._matching) >= _REMEMBERED:
                self._matching.clear()
            found = self._matching[pattern] = self.set_of(self._catalog.matching(pattern))
        return found

    def matching_any(self, patterns: Iterable[str]) -> int:
        """Return the set of models that one of several patterns stands for."""
        found = 0
        for pattern in patterns:
            found |= self.matching(pattern)
        return found

    def members(self, models: int) -> tuple[int, ...]:
        """List the numbers in a set, ascending; what is asked for again and again is remembered."""
        found = self._members.get(models)
        if found is None:
            if len(self._members) >= _REMEMBERED_MEMBERS:
                self._members.clear()
            found = self._members[models] = numbers_in(models)
        return found

    def count_providers(self, models: int) -> int:
        """Count who provides the models of a set."""
        found = self._provider_counts.get(models)
        if found is None:
            if len(self._provider_counts) >= _REMEMBERED:
                self._provider_counts.clear()
            found = sum(1 for provided in self.of_provider if provided & models)
            self._provider_counts[models] = found
        return found

    def of_tier(self, tier: str) -> int:
        """Return the set of models of a tier."""
        return self._of_tier.get(tier, 0)

    def with_quality(self, quality: float) -> int:
        """Return the set of models of at least this quality."""
        return (1 << bisect_right(self._badness, -quality)) - 1

    def priced_up_to(self, nano_usd: int) -> int:
        """Return the set of models that cost no more per token, of three parts input and one part output."""
        found = self._priced_up_to.get(nano_usd)
        if found is None:
            prices = zip(self.input_prices, self.output_prices, strict=True)
            found = self._priced_up_to[nano_usd] = sum(
                1 << number
                for number, (input, output) in enumerate(prices)
                if 3 * input + output <= 4 * nano_usd
            )
        return found

    def highest_prices(self, models: int) -> tuple[int, int, int]:
        """Return the highest price of input, of output, and of input that may be written into a cache.

        Of a set that is not empty; each may be another model's.
        """
        found = self._highest_prices.get(models)
        if found is None:
            if len(self._highest_prices) >= _REMEMBERED:
                self._highest_prices.clear()
            numbers = self.members(models)
            found = self._highest_prices[models] = (
                max(self.input_prices[number] for number in numbers),
                max(self.output_prices[number] for number in numbers),
                max(self.dearest_input_prices[number] for number in numbers),
            )
        return found

    def outputs(self, learnt: Mapping[str, Mapping[str, float]], domain: str) -> Outputs:
        """Say how long the answers about *domain* are expected to be.

        What was learnt is rounded to steps of 9 %, so that learning on changes little and seldom.
        """
        if learnt is not self._learnt:
            self._learnt = learnt
            self._outputs.clear()
        found = self._outputs.get(domain)
        if found is None:
            if len(self._lessons) >= _REMEMBERED:
                self._lessons.clear()
            lesson = self._lesson_of(learnt.get(domain, {}), domain)
            self._lessons[domain] = lesson
            found = self._outputs[domain] = lesson.outputs
        return found

    def _lesson_of(self, learnt: Mapping[str, float], domain: str) -> _Lesson:
        """Say what is expected of each model, going through those only of which something new was learnt."""
        before = self._lessons.get(domain)
        if before is not None and before.learnt == learnt:
            return before
        usual = self._expectation.by_domain.get(domain, self._expectation.otherwise)
        if ANY_MODEL in learnt:
            usual = _rounded(learnt[ANY_MODEL])
        if before is None or before.usual != usual:
            before = _Lesson({}, usual, self._outputs_of([usual] * self.count))
        expected = list(before.outputs.expected)
        known = before.learnt
        for key, tokens in learnt.items():
            if known.get(key) != tokens and (number := self._number_of.get(key)) is not None:
                expected[number] = _rounded(tokens)
        for key in known:
            if key not in learnt and (number := self._number_of.get(key)) is not None:
                expected[number] = usual
        return _Lesson(learnt, usual, self._outputs_of(expected))

    def _outputs_of(self, expected: Sequence[int]) -> Outputs:
        """Bound what is expected by what models can give; the same expectations are the same object.

        Whoever remembers something by an `Outputs` remembers it as long as that is the same.
        """
        place = tuple(
            [
                tokens if limit is None or tokens < limit else limit
                for tokens, limit in zip(expected, self.output_limits, strict=True)
            ]
        )
        found = self._all_outputs.get(place)
        if found is None:
            if len(self._all_outputs) >= _REMEMBERED_OUTPUTS:
                self._all_outputs.clear()
            found = self._all_outputs[place] = Outputs(place, sorted(set(place)))
        return found

    def costs(
        self, numbers: Iterable[int], prompt_tokens: int, max_tokens: int | None, outputs: Outputs
    ) -> list[int]:
        """Estimate what a request costs at each of some models, in nano-USD."""
        inputs, prices, expected = self.input_prices, self.output_prices, outputs.expected
        if max_tokens is None or max_tokens >= outputs.bounds[-1]:
            return [inputs[i] * prompt_tokens + prices[i] * expected[i] for i in numbers]
        return [
            inputs[i] * prompt_tokens + prices[i] * (expected[i] if expected[i] < max_tokens else max_tokens)
            for i in numbers
        ]

    def latencies(self, measured: Mapping[str, LatencyStats], now_s: float) -> LatencyView:
        """Say what latency each model is taken to have.

        One that is not known is taken to be like the median of those that are. One that was measured drifts
        back to it as the measurement ages, and has never quite left it when there were few samples.
        """
        step = int(now_s / self._latency_rule.refresh_s)
        if step != self._latency_step or measured is not self._measured:
            if step != self._latency_step or measured != self._measured:
                self._latencies = self._view(measured, step * self._latency_rule.refresh_s)
            self._measured, self._latency_step = measured, step
        return self._latencies

    def _view(self, measured: Mapping[str, LatencyStats], now_s: float) -> LatencyView:
        rule = self._latency_rule
        known: dict[str, tuple[float, float]] = {}
        fresh: set[str] = set()
        for key, stats in measured.items():
            value: float | None = getattr(stats, rule.measure)
            if value is None:
                continue
            age_s = max(0.0, now_s - stats.updated_s)
            trust = math.pow(0.5, age_s / rule.half_life_s) * stats.samples
            known[key] = value, trust / (stats.samples + rule.prior_samples)
            if age_s <= rule.half_life_s:
                fresh.add(key)
        values = sorted(value for value, _ in known.values()) or [rule.assumed_ms]
        median = values[(len(values) - 1) // 2]
        taken = {key: median + trust * (value - median) for key, (value, trust) in known.items()}
        keys = list(self._provider_names)
        groups = list(self.of_provider)
        group_of: Sequence[int] = self.providers
        alone = [number for key in known if (number := self._number_of.get(key)) is not None]
        if alone:
            group_of = list(group_of)
            for number in alone:
                groups[group_of[number]] ^= 1 << number
                group_of[number] = len(keys)
                keys.append(self.keys[number])
                groups.append(1 << number)
        stale = [models for key, models in zip(keys, groups, strict=True) if key not in fresh]
        return LatencyView(
            group_of=group_of,
            groups=groups,
            group_ms=[taken.get(key, median) for key in keys],
            alone=sum(1 << number for number in alone),
            stale=sum(stale) if fresh else 0,
        )


def _sets(pairs: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    """Gather numbers of models into one set per word."""
    sets: dict[str, int] = {}
    for word, number in pairs:
        sets[word] = sets.get(word, 0) | 1 << number
    return sets


class Sizes:
    """Which models allow at least so much of something; `None` is no limit."""

    def __init__(self, limits: Sequence[int | None]) -> None:
        self._steps = sorted({limit for limit in limits if limit is not None})
        self._sets = [
            sum(1 << number for number, limit in enumerate(limits) if limit is None or limit >= step)
            for step in self._steps
        ]
        self._sets.append(sum(1 << number for number, limit in enumerate(limits) if limit is None))

    def step_of(self, size: int) -> int:
        """Say in which step a size is; sizes of one step are allowed by the same models."""
        return bisect_left(self._steps, size)

    def at_least(self, step: int) -> int:
        """Return the models that allow the sizes of a step."""
        return self._sets[step]


def numbers_in(models: int) -> tuple[int, ...]:
    """List the numbers in a set, ascending."""
    return tuple([number for number, bit in enumerate(f"{models:b}"[::-1]) if bit == "1"])


def output_cell(outputs: Outputs, max_tokens: int | None) -> int:
    """Say in which interval between neighbouring bounds a limit of the output lies."""
    return len(outputs.bounds) if max_tokens is None else bisect_right(outputs.bounds, max_tokens)


def _rounded(tokens: float) -> int:
    """Round to a power of the eighth root of two, and to a whole number."""
    return round(2 ** (round(math.log2(max(tokens, 1.0)) * _STEPS_PER_DOUBLING) / _STEPS_PER_DOUBLING))
