"""The router: from a situation and what is known to a model."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from aigateway import signals
from aigateway.money import usd

from .audit import Decision, Ranking, record_of
from .choice import Choice
from .config import Config
from .constraints import Constraints, Excluded
from .market import Market
from .names import Names
from .refusing import no_model, unknown_strategy
from .shortlist import WANTED, pick
from .situation import Draw, Knowledge, Situation
from .strategies import Order, Plan, Scene, Stage
from .strategies.by_turn import LeastRequestsOrder

__all__ = ["Router", "headers"]

_LONGEST_REASON: Final = 256
_NOTHING: Final = Excluded({}, "")
_BEST: Final = Plan((Stage("quality_first"),))


class Router:
    """Chooses models by one configuration.

    It remembers what it has computed, and, for strategies that take turns, whose turn it is: so keep one for
    as long as its configuration lasts.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._market = market = Market(config.catalog, config.expected_output_tokens, config.latency)
        self._names = Names(config, market)
        self._constraints = Constraints(config, market)
        self._orders: dict[str, Order] = {
            name: strategy.order(market)
            for name, strategy in config.strategies.items()
            if strategy.ranks_by is not None
        }
        self._allowed = frozenset(config.allowed_strategies)

    def choose(self, situation: Situation, knowledge: Knowledge, draw: Draw) -> Choice:
        """Choose a model for a request, or raise `RefusedError` with what its sender should be told.

        The same situation, knowledge and draws give the same choice, but for the strategies that take turns.
        """
        config, constraints = self._config, self._constraints
        asked = self._names.resolve(situation.requested_model)
        rights = constraints.rights_of(situation.consumer)
        strategy = situation.strategy
        if strategy is None:
            strategy = asked.strategy or rights.policy.strategy or config.strategy
        elif strategy not in self._allowed:
            raise unknown_strategy(strategy, config.allowed_strategies)
        feasible = constraints.check(situation, knowledge, rights, asked.models, asked.is_explicit)
        scene = Scene(situation, knowledge, draw, self._market, asked.requested)
        models, unpaid = constraints.affordable(situation, rights.policy, feasible.soft, scene.outputs)
        excluded, given_up = feasible.by_all, _NOTHING
        if models:
            if asked.is_explicit:
                strategy = "explicit"
        else:
            if config.on_infeasible == "best_quality" and feasible.soft != feasible.hard:
                excluded, given_up = feasible.by_hard, feasible.by_soft
                models, unpaid = constraints.affordable(
                    situation, rights.policy, feasible.hard, scene.outputs
                )
            if not models:
                opens_s = constraints.opens_s(knowledge, asked.models, situation.now_s)
                raise no_model(excluded.and_also(unpaid).counts, opens_s, situation.now_s)
            strategy = "best_quality"
        scene.feasible, scene.narrowed = models, bool(unpaid)
        chooser = config.strategies.get(strategy)
        plan = _BEST if chooser is None else chooser.plan(scene)
        rankings, picked = self._look(plan, models, scene)
        costs = self._market.costs(picked[:1], situation.prompt_tokens, situation.max_tokens, scene.outputs)
        return self._choice(
            Decision(
                scene=scene,
                orders=self._orders,
                strategy=strategy,
                case=plan.case,
                rankings=rankings,
                picked=picked,
                excluded=excluded.and_also(unpaid),
                given_up=given_up,
                cost_nano_usd=costs[0],
            )
        )

    def begin(self, model: str) -> None:
        """Note that a request was sent to *model*, as `provider/name`, for the strategy `least_requests`."""
        number = self._market.number_of(model)
        if number is not None:
            self._requests.begin(number)

    def end(self, model: str) -> None:
        """Note that a request to *model* that began has ended, however it did."""
        number = self._market.number_of(model)
        if number is not None:
            self._requests.end(number)

    @property
    def _requests(self) -> LeastRequestsOrder:
        order = self._orders["least_requests"]
        assert isinstance(order, LeastRequestsOrder)
        return order

    def _look(self, plan: Plan, models: int, scene: Scene) -> tuple[Sequence[Ranking], Sequence[int]]:
        """Go through the stages until enough models of enough providers are found."""
        providers = self._market.providers
        rankings: list[Ranking] = []
        ranked: Sequence[int] = ()
        for name, preferred in plan.stages:
            stage = models if preferred is None else models & preferred
            if not stage:
                continue
            found = self._orders[name].rank(stage, scene)
            rankings.append(Ranking(name, stage, found))
            ranked = [*ranked, *found] if ranked else found
            models &= ~stage
            if not models or len({providers[number] for number in ranked}) >= WANTED:
                break
        picked = pick(ranked, providers)
        first = rankings[0]
        self._orders[first.order].take(first.models, picked[0])
        return rankings, picked

    def _choice(self, decision: Decision) -> Choice:
        models, picked = self._market.models, decision.picked
        return Choice(
            model=models[picked[0]],
            fallbacks=tuple([models[number] for number in picked[1:]]),
            strategy=decision.strategy,
            reason=self._reason(decision),
            estimated_cost_nano_usd=decision.cost_nano_usd,
            make_record=partial(record_of, decision),
        )

    def _reason(self, decision: Decision) -> str:
        """Write the short line for people: `cost_optimal: gpt-4.1-mini cheapest of 4; excluded domain: 2`.

        Where a rule or a tier put some models first, the model is the best of those only:
        `rule_based flash: gemini-flash cheapest of 1 preferred, 6 possible`.
        """
        strategy, case = decision.strategy, decision.case
        who = f"{strategy} {case}" if case else strategy
        model = self._market.models[decision.picked[0]].name
        how = "requested" if strategy == "explicit" else self._orders[decision.rankings[0].order].phrase
        possible = decision.scene.feasible.bit_count()
        compared = decision.rankings[0].models.bit_count()
        reason = f"{who}: {model} {how} of {compared}"
        if compared < possible:
            reason += f" preferred, {possible} possible"
        if decision.excluded.text:
            reason += f"; excluded {decision.excluded.text}"
        if decision.given_up.text:
            reason += f"; gave up {decision.given_up.text}"
        return reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 3]}..."


def headers(choice: Choice) -> Mapping[str, str]:
    """Write a choice as the request headers that Envoy routes by and that other plugins read."""
    model = choice.model
    return {
        signals.MODEL: model.name,
        signals.PROVIDER: model.provider,
        signals.CLUSTER: model.cluster,
        signals.FALLBACKS: ",".join([fallback.key for fallback in choice.fallbacks]),
        signals.STRATEGY: choice.strategy,
        signals.REASON: choice.reason,
        signals.ESTIMATED_COST: usd(choice.estimated_cost_nano_usd),
        signals.HIGRESS_MODEL: model.name,
    }
