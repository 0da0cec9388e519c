"""The plugin `ai-routellm-threshold-tuner`: strong or weak model, by a score and a threshold."""

from dataclasses import dataclass, field, replace
from typing import Final

from aigateway import signals
from aigateway.chat import ChatRequest
from aigateway.intake import unreadable, wants_body
from aigateway.json_edit import set_members
from aigateway.refusals import InvalidRequestError
from proxywasm import (
    CONTINUE,
    CalloutError,
    HttpFilter,
    Outcome,
    PluginContext,
    Reply,
    Request,
    Response,
    SharedDataContentionError,
    plugin,
)

from . import verdicts
from .accounts import MILLION, Account
from .config import Config
from .handover import hand_over
from .intake import Known, known_from_signals, read_chat, token_counts
from .names import Ask
from .prompt import text_in_scope
from .scopes import Scopes
from .scorers import Scorer, ScoringService
from .tuner import request_for, scope_for
from .tuning import Decision
from .verdicts import Verdict
from .window import score_of

_METRICS: Final = "ai_routellm_threshold_tuner"
_TICK_S: Final = 1.0


@dataclass(slots=True)
class Desk:
    """What a worker remembers beside what all workers share."""

    scopes: Scopes
    latest: dict[str, Decision] = field(default_factory=dict)
    """The latest decision of each scope, for the gauges."""
    accounts: dict[str, Account] = field(default_factory=dict)
    """By pair."""
    paused_until_s: dict[str, float] = field(default_factory=dict)
    """When a service that has failed, by cluster, may be asked again."""
    applied: int = 0
    """Requests decided by frozen thresholds."""


class TunerContext(PluginContext[Config]):
    """The estimates and the gauges, which are brought up to date once a second."""

    def __init__(self) -> None:
        self._desk: Desk | None = None

    def on_configure(self) -> None:
        """Have the gauges brought up to date."""
        self.set_tick_period(_TICK_S)

    def desk(self, config: Config) -> Desk:
        """Return what this worker remembers."""
        if self._desk is None:
            self._desk = Desk(Scopes(config.max_scopes))
        return self._desk

    def on_tick(self) -> None:
        """Bring metrics up to date."""
        self._flush()

    def on_done(self) -> None:
        """Tell what is left to tell."""
        self._flush()

    def _flush(self) -> None:
        desk = self._desk
        if desk is None:
            return
        for pair, account in desk.accounts.items():
            self._tell(pair, account)
        desk.accounts.clear()
        for scope, decision in desk.latest.items():
            name = desk.scopes.metric_name(scope)
            for number, (level, share) in enumerate(zip(decision.thresholds, decision.shares, strict=True)):
                suffix = f"{name}.{number}" if len(decision.thresholds) > 1 else name
                self._gauge(f"threshold_ppm.{suffix}", score_of(level))
                self._gauge(f"strong_share_ppm.{suffix}", share)
            self.metrics.gauge(f"{_METRICS}.samples.{name}").set(decision.samples)
        desk.latest.clear()

    def _tell(self, pair: str, account: Account) -> None:
        """Add an account to the counters of all workers, and set what follows from their sums."""
        cost = self._count(f"estimated_cost_nano_usd.{pair}", account.cost_nano_usd)
        strong = self._count(f"estimated_strong_cost_nano_usd.{pair}", account.strong_cost_nano_usd)
        if strong:
            self._gauge(f"saving_ppm.{pair}", max(0.0, 1 - cost / strong))
        quality = self._count(f"estimated_quality_sum_ppm.{pair}", account.quality_ppm)
        judged = self._count(f"estimated_quality_requests.{pair}", account.judged)
        if judged:
            self._gauge(f"estimated_quality_ppm.{pair}", quality / judged / MILLION)

    def _count(self, name: str, amount: int) -> int:
        counter = self.metrics.counter(f"{_METRICS}.{name}")
        counter.increment(amount)
        return counter.value()

    def _gauge(self, name: str, share: float) -> None:
        self.metrics.gauge(f"{_METRICS}.{name}").set(round(share * MILLION))


@plugin("ai-routellm-threshold-tuner", config=Config.from_json, context=TunerContext, on_error="open")
class ThresholdTuner(HttpFilter[Config]):
    """Scores requests that leave the choice of the model open, and says which tier they need.

    Counters, each with `ai_routellm_threshold_tuner.` in front: `requests.<pair>.<scorer>.<tier>`,
    `shadow.<pair>.<tier>` for what thresholds in the shadow would have done, `drifts`, `unscored` for what
    could not be read, `refused`, `contended` where too many workers were at it at once, `service_failed` and
    `service_skipped`. The rest is `TunerContext`'s.
    """

    plugin: TunerContext

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    async def on_request_headers(self, request: Request) -> Outcome:
        """Find out what is asked for, score it, and set the tier."""
        config = self.config
        given = dict(reversed(request.headers.items()))  # Of several values the first.
        if not config.trust_signals:
            signals.remove_forgeable(request.headers)
        method, path = given.get(":method", ""), given.get(":path", "")
        if not wants_body(method, path, given, trust_signals=config.trust_signals):
            return CONTINUE
        known = known_from_signals(given, config.scorers.headers, trust_signals=config.trust_signals)
        try:
            ask = config.vocabulary.parse(known.model) if known.is_measured else None
            if known.is_measured and ask is None:
                return CONTINUE
            chat, body = None, b""
            if self._needs_body(known, ask) and unreadable(given, config.max_body_bytes) is None:
                body = await request.body.read()
                if len(body) <= config.max_body_bytes:
                    chat = read_chat(path, body)
            if not known.is_measured:
                if chat is None:
                    return CONTINUE
                ask = config.vocabulary.parse(chat.model)
        except InvalidRequestError as error:
            self._count("refused")
            return Reply.json(error.refusal.status, error.refusal.to_json(), details=error.refusal.code or "")
        if ask is None:
            return CONTINUE
        verdict = await self._decide(known, ask, chat)
        tier = config.pairs[ask.pair].tiers[0] if verdict is None else verdict.tier
        if verdict is None:
            self._count("unscored")
        told = {signals.TIER: tier.name} if verdict is None else verdict.signals
        requested = known.model if chat is None else chat.model
        handed = hand_over(config, tier, requested, is_measured=known.is_measured)
        request.headers.update(told | handed.headers)
        if handed.model is not None and chat is not None:
            edited = set_members(body, {"model": handed.model})
            if edited is not body:
                request.body.replace(edited)
        if given.get(signals.DEBUG) == "true":
            self._told = told
        return CONTINUE

    def on_response_headers(self, response: Response) -> Outcome:
        """Show the caller the score, if it wants to see how things were decided."""
        if self._told:
            response.headers.update(self._told)
        return CONTINUE

    def _needs_body(self, known: Known, ask: Ask | None) -> bool:
        """Say whether the body has something to say that nobody else has said."""
        if ask is None or self.config.hand_over == "model" or self.config.worth_for(ask) is not None:
            return True
        scorer = self._scorer(ask)
        return isinstance(scorer, ScoringService) or scorer.reads_text(known.prompt)

    def _scorer(self, ask: Ask) -> Scorer | ScoringService:
        return self.config.scorers.by_name[ask.scorer or self.config.chosen[ask.pair]]

    async def _decide(self, known: Known, ask: Ask, chat: ChatRequest | None) -> Verdict | None:
        """Score a request and choose its tier; None if it cannot be scored."""
        config = self.config
        prompt = known.prompt
        if chat is not None:
            prompt = replace(prompt, text=text_in_scope(chat.turns, config.prompt_scope))
        pair, worth = config.pairs[ask.pair], config.worth_for(ask)
        if worth is not None:
            costs = pair.costs(*token_counts(known, chat, config.expected_output_tokens))
            if prompt.text is None or costs is None:
                return None
            verdict = verdicts.weigh(pair, worth, config.thresholds[ask.pair], prompt.text, costs)
            self._book(verdict)
            return verdict
        scorer, name, stand_in = self._scorer(ask), ask.scorer or config.chosen[ask.pair], ""
        score: float | None = None
        if isinstance(scorer, ScoringService):
            if prompt.text is not None:
                score = await self._ask(scorer, prompt.text)
            if score is None:
                stand_in = scorer.fallback
        if score is None:
            name, local = config.scorers.local(name)
            if prompt.text is None and local.reads_text(prompt):
                return None
            score = local.score(prompt)
        costs = pair.costs(*token_counts(known, chat, config.expected_output_tokens))
        verdict = self._choose(request_for(config, ask, name, score, costs), ask, known.domain, stand_in)
        self._book(verdict)
        return verdict

    def _choose(self, request: verdicts.Request, ask: Ask, domain: str, stand_in: str) -> Verdict:
        """Choose by fixed thresholds, or by those that all workers share."""
        threshold = request.threshold
        if ask.thresholds or threshold.mode == "fixed":
            return verdicts.fixed(request, ask)
        desk = self.plugin.desk(self.config)
        route = self.properties.route_name or ""
        scope = desk.scopes.known(scope_for(self.config, ask, route=route, domain=domain, stand_in=stand_in))
        key = f"tuner/{scope}"
        if threshold.mode == "frozen":
            desk.applied += 1
            return verdicts.apply(request, self.shared.get(key), desk.applied)
        outcome: list[Verdict] = []

        def change(known: bytes | None) -> bytes:
            verdict, value = verdicts.learn(request, known)
            outcome[:] = [verdict]
            return value

        try:
            self.shared.update(key, change)
        except SharedDataContentionError:  # The verdict stands; what it teaches, the next ones teach too.
            self._count("contended")
        verdict = outcome[0]
        if verdict.learnt is not None:
            desk.latest[scope] = verdict.learnt
            if verdict.learnt.drifted:
                self._count("drifts")
        return verdict

    async def _ask(self, service: ScoringService, text: str) -> float | None:
        """Ask a service for a score; None if it has failed, now or a moment ago."""
        paused_until_s = self.plugin.desk(self.config).paused_until_s
        if self.now() < paused_until_s.get(service.cluster, 0.0):
            self._count("service_skipped")
            return None
        score = None
        try:
            answer = await self.http_call(
                service.cluster,
                method="POST",
                path=service.path,
                authority=service.authority,
                headers={"content-type": "application/json"},
                body=service.request(text),
                timeout_s=service.timeout_s,
            )
            score = service.read_answer(answer.status, answer.body)
        except CalloutError:
            pass
        if score is None:
            self._count("service_failed")
            paused_until_s[service.cluster] = self.now() + service.pause_s
        return score

    def _book(self, verdict: Verdict) -> None:
        """Count a request, and put down what it is estimated to cost and to be worth."""
        pair = verdict.request.pair
        self._count(f"requests.{pair.name}.{verdict.request.scorer}.{verdict.tier.name}")
        if verdict.shadow is not None:
            self._count(f"shadow.{pair.name}.{verdict.shadow.name}")
        self.plugin.desk(self.config).accounts.setdefault(pair.name, Account()).add(verdict)

    def _count(self, what: str) -> None:
        self.metrics.counter(f"{_METRICS}.{what}").increment()
