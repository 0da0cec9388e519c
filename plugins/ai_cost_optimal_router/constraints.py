"""Which models may answer a request, and what excludes the others.

Hard constraints hold always: who breaks one cannot or may not answer. Soft ones, floor, domain, latency class
and tier, say what is good enough, and are given up when nothing is. Each model counts for the first
constraint that excludes it, in the order below, so that the counts add up.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from aigateway.chat import Format, Need

from .config import Config, Policy
from .market import Market, Outputs, numbers_in
from .situation import Knowledge, Situation

__all__ = ["Constraints", "Excluded", "Feasible", "Rights"]

_REMEMBERED: Final = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Rights:
    """What a consumer may use."""

    policy: Policy
    permitted: int
    """The models that its lists leave."""
    in_region: int
    """The models that run where it wants them to."""


class Excluded(NamedTuple):
    """How many models each constraint excludes, in their order; nothing for those that exclude none."""

    counts: Mapping[str, int]
    text: str
    """The same for people: `quality<0.72: 1, domain: 2`."""

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> "Excluded":
        """Write the counts down."""
        return cls(counts, ", ".join([f"{label}: {count}" for label, count in counts.items()]))

    def and_also(self, counts: Mapping[str, int]) -> "Excluded":
        """Return these counts with others after them."""
        return Excluded.of({**self.counts, **counts}) if counts else self


class Feasible(NamedTuple):
    """What constraints leave, for the constraints that do not depend on what a request costs."""

    hard: int
    """The models that meet the hard ones."""
    soft: int
    """Those of them that meet the soft ones too."""
    by_hard: Excluded
    by_soft: Excluded
    by_all: Excluded


class Constraints:
    """Asks a market for the models that meet a configuration's constraints."""

    def __init__(self, config: Config, market: Market) -> None:
        self._config = config
        self._market = market
        self._everyone = _rights(config.policy, market)
        self._rights = {name: _rights(policy, market) for name, policy in config.consumers.items()}
        self._by_format = {
            format: market.where(lambda model, format=format: format in model.formats)  # type: ignore[misc]
            for format in Format
        }
        self._by_need = {
            need: market.where(lambda model, need=need: need in model.needs)  # type: ignore[misc]
            for need in Need
        }
        self._by_domain: dict[str, int] = {}
        self._is_realtime = market.where(lambda model: model.is_realtime)
        self._feasible: dict[tuple[object, ...], Feasible] = {}
        self._closed: Mapping[str, float] | None = None
        self._closed_from_s = self._closed_until_s = 0.0
        self._open_set = market.everything

    def rights_of(self, consumer: str | None) -> Rights:
        """Return what a consumer may use."""
        return self._rights.get(consumer, self._everyone) if consumer else self._everyone

    def check(
        self, situation: Situation, knowledge: Knowledge, rights: Rights, asked: int, is_explicit: bool
    ) -> Feasible:
        """Find the models among those *asked* for that meet every constraint, cost aside.

        A model that was asked for by its name, which *is_explicit* says, need not be good enough.
        """
        market, config = self._market, self._config
        tokens, limit = situation.prompt_tokens, situation.max_tokens
        if config.prompt_margin:
            tokens = math.ceil(tokens * (1 + config.prompt_margin))
        window = market.windows.step_of(tokens + (config.unset_output_tokens if limit is None else limit))
        output = 0 if limit is None else market.most_output.step_of(limit)
        self._look_for_closed(knowledge.closed, situation.now_s)
        place = (
            asked,
            is_explicit,
            rights,
            situation.domain,
            situation.latency,
            situation.tier,
            situation.needs,
            situation.format,
            window,
            output,
            self._open_set,
        )
        found = self._feasible.get(place)
        if found is None:
            if len(self._feasible) >= _REMEMBERED:
                self._feasible.clear()
            hard, hard_excluded = _narrow(asked, self._hard(situation, rights, window, output))
            soft, soft_excluded = hard, dict[str, int]()
            if not is_explicit:
                soft, soft_excluded = _narrow(hard, self._soft(situation, rights.policy))
            by_hard, by_soft = Excluded.of(hard_excluded), Excluded.of(soft_excluded)
            by_all = by_hard.and_also(soft_excluded)
            found = self._feasible[place] = Feasible(hard, soft, by_hard, by_soft, by_all)
        return found

    def floor(self, policy: Policy, domain: str) -> float:
        """Return the quality floor: the consumer's, or else the domain's, or else everyone's."""
        if policy.quality_floor is not None:
            return policy.quality_floor
        return self._config.quality_floors.get(domain, self._config.quality_floor)

    def affordable(
        self, situation: Situation, policy: Policy, models: int, outputs: Outputs
    ) -> tuple[int, Mapping[str, int]]:
        """Narrow a set to what the request may cost, and to what the caller can still pay for.

        The first is held against the estimate, the second against what the request costs at most, because
        that is what a budget must have room for: all tokens that it allows, and the prompt a margin longer.
        """
        excluded: dict[str, int] = {}
        limit, budget = policy.max_cost_nano_usd, situation.budget_nano_usd
        if not models or (limit is None and budget is None):
            return models, excluded
        if limit is not None and self._dearest(situation, models, outputs) > limit:
            numbers = numbers_in(models)
            costs = self._market.costs(numbers, situation.prompt_tokens, situation.max_tokens, outputs)
            models = _note(models, self._within(numbers, costs, limit), "cost", excluded)
        if budget is not None and models and self._dearest_at_most(situation, models) > budget:
            numbers = numbers_in(models)
            models = _note(
                models,
                self._within(numbers, self._costs_at_most(situation, numbers), budget),
                "budget",
                excluded,
            )
        return models, excluded

    def opens_s(self, knowledge: Knowledge, models: int, now_s: float) -> float | None:
        """Say when the first of some models may be tried again, if one waits for that."""
        market = self._market
        waits = [
            until_s
            for number in market.members(models)
            if (until_s := _until(knowledge.closed, market.keys[number], market.models[number].provider))
            > now_s
        ]
        return min(waits, default=None)

    def _hard(
        self, situation: Situation, rights: Rights, window: int, output: int
    ) -> Iterator[tuple[str, int]]:
        yield "denied", rights.permitted
        yield "region", rights.in_region
        if situation.format is not None:
            yield "format", self._by_format[situation.format]
        for need in Need:
            if need in situation.needs:
                yield str(need), self._by_need[need]
        if situation.max_tokens is not None:
            yield "output", self._market.most_output.at_least(output)
        yield "window", self._market.windows.at_least(window)
        yield "breaker", self._open_set

    def _soft(self, situation: Situation, policy: Policy) -> Iterator[tuple[str, int]]:
        floor = self.floor(policy, situation.domain)
        yield f"quality<{floor:g}", self._market.with_quality(floor)
        domain = self._by_domain.get(situation.domain)
        if domain is None:
            if len(self._by_domain) >= _REMEMBERED:
                self._by_domain.clear()
            domain = self._market.where(lambda model: situation.domain in model.domains)
            self._by_domain[situation.domain] = domain
        yield "domain", domain
        if situation.latency == "realtime":
            yield "latency", self._is_realtime
        if situation.tier is not None and self._config.require_tier:
            # Where the catalog does not know the tier, it asks for nothing.
            yield "tier", self._market.of_tier(situation.tier) or self._market.everything

    def _look_for_closed(self, closed: Mapping[str, float], now_s: float) -> None:
        """Find the models whose provider takes requests now, and who do themselves."""
        if closed is not self._closed or not self._closed_from_s <= now_s < self._closed_until_s:
            market = self._market
            self._closed = closed
            self._closed_from_s = now_s
            self._closed_until_s = min(
                (until for until in closed.values() if until > now_s), default=math.inf
            )
            self._open_set = market.everything
            if self._closed_until_s < math.inf:
                self._open_set = sum(
                    1 << number
                    for number, model in enumerate(market.models)
                    if _until(closed, market.keys[number], model.provider) <= now_s
                )

    def _within(self, numbers: Sequence[int], costs: Sequence[int], limit: int) -> int:
        return sum(1 << number for number, cost in zip(numbers, costs, strict=True) if cost <= limit)

    def _dearest(self, situation: Situation, models: int, outputs: Outputs) -> int:
        """Bound from above what the request costs at any of some models."""
        input_price, output_price, _ = self._market.highest_prices(models)
        longest = outputs.bounds[-1]
        if situation.max_tokens is not None and situation.max_tokens < longest:
            longest = situation.max_tokens
        return input_price * situation.prompt_tokens + output_price * longest

    def _dearest_at_most(self, situation: Situation, models: int) -> int:
        _, output_price, input_price = self._market.highest_prices(models)
        return input_price * self._longest_prompt(situation) + output_price * self._longest_output(situation)

    def _costs_at_most(self, situation: Situation, numbers: Sequence[int]) -> list[int]:
        market = self._market
        prompt, output = self._longest_prompt(situation), self._longest_output(situation)
        costs = []
        for number in numbers:
            limit = market.output_limits[number]
            most = output if limit is None or limit > output else limit
            costs.append(market.dearest_input_prices[number] * prompt + market.output_prices[number] * most)
        return costs

    def _longest_prompt(self, situation: Situation) -> int:
        return math.ceil(situation.prompt_tokens * (1 + self._config.budget_margin))

    def _longest_output(self, situation: Situation) -> int:
        return self._config.unset_output_tokens if situation.max_tokens is None else situation.max_tokens


def _rights(policy: Policy, market: Market) -> Rights:
    allowed = market.matching_any(policy.allow) if policy.allow else market.everything
    in_region = market.everything
    if policy.regions:
        in_region = market.where(lambda model: not policy.regions.isdisjoint(model.regions))
    return Rights(policy, allowed & ~market.matching_any(policy.deny), in_region)


def _narrow(models: int, steps: Iterator[tuple[str, int]]) -> tuple[int, dict[str, int]]:
    """Narrow a set step by step, and count what each step excludes."""
    excluded: dict[str, int] = {}
    for label, meeting in steps:
        models = _note(models, meeting, label, excluded)
    return models, excluded


def _note(models: int, meeting: int, label: str, excluded: dict[str, int]) -> int:
    lost = models & ~meeting
    if lost:
        excluded[label] = lost.bit_count()
    return models & meeting


def _until(closed: Mapping[str, float], key: str, provider: str) -> float:
    """Say until when a model takes no requests."""
    return max(closed.get(key, 0.0), closed.get(provider, 0.0))
