"""The plugin `ai-cost-optimal-router`: sends each request to the model that the router chooses for it."""

import json
import random
from collections.abc import Mapping
from typing import Final

from aigateway import signals
from aigateway.catalog import Model
from aigateway.formats import format_of_path
from aigateway.intake import too_large, unreadable, wants_body
from aigateway.json_edit import set_members
from aigateway.refusals import InvalidRequestError, Refusal
from aigateway.usage import UsageReader
from proxywasm import (
    CONTINUE,
    HttpFilter,
    Outcome,
    PluginContext,
    Reply,
    Request,
    Response,
    SharedDataContentionError,
    UsageError,
    plugin,
)

from .choice import Choice, RefusedError
from .config import Config
from .feedback import is_feedback, judge_outcome, may_judge, read_judgement, read_score
from .intake import read_situation
from .knowledge import Newsreader
from .learning import Lesson, learn, learning_key
from .router import Router, headers
from .situation import Situation

_METRICS: Final = "ai_cost_optimal_router"
_MOST_METRICS: Final = 2_000
"""Pairs of model and strategy that are counted by name; a host keeps every name for ever."""

_AUDIT: Final = "ai_nexus.router"
"""The property with the record of the decision; access logs: `%FILTER_STATE(wasm.ai_nexus.router:PLAIN)%`."""

_SHOWN: Final = (signals.REASON, signals.ESTIMATED_COST, signals.FALLBACKS)
"""What a client that debugs is shown of the choice."""


class Desk:
    """What one worker keeps for one configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.router = Router(config)
        self.news = Newsreader(config.catalog, config.knowledge, config.learning)
        self.counted: dict[tuple[str, str], str] = {}

    def expected_tokens(self, domain: str) -> int:
        """Return how long answers about *domain* are before anything is learnt."""
        expectation = self.config.expected_output_tokens
        return expectation.by_domain.get(domain, expectation.otherwise)

    def metric_of(self, choice: Choice) -> str:
        """Name the counter of a choice; there are not more than `_MOST_METRICS`."""
        key = (choice.model.name, choice.strategy)
        name = self.counted.get(key)
        if name is None:
            room = len(self.counted) < _MOST_METRICS
            name = f"{_METRICS}.chosen.{key[0]}.{key[1]}" if room else f"{_METRICS}.chosen.others"
            self.counted[key] = name
        return name


class RouterContext(PluginContext[Config]):
    """The routers of a worker: one for the configuration, and one for each rule that replaces it."""

    def __init__(self) -> None:
        self._desks: dict[int, Desk] = {}

    def on_configure(self) -> None:
        """Lay out the catalog now, so that no request has to wait for it."""
        try:
            self.desk(self.config)
        except UsageError:  # There are only rules; theirs are laid out when they are first needed.
            return

    def desk(self, config: Config) -> Desk:
        """Return what there is for a configuration; it lives as long as this context."""
        desk = self._desks.get(id(config))
        if desk is None:
            desk = self._desks[id(config)] = Desk(config)
        return desk


@plugin("ai-cost-optimal-router", config=Config.from_json, context=RouterContext, on_error="open")
class CostOptimalRouter(HttpFilter[Config]):
    """Reads requests for the router, writes its choice into headers and body, and learns from the answers.

    When it fails a request goes on as it came, to the default provider: a mistake here must not take the
    gateway down. Signals that a client forged are removed before anything can fail.

    Counters, each with `ai_cost_optimal_router.` in front: `chosen.<model>.<strategy>`, `overridden` where
    another model was chosen than the request named, `estimated_cost_nano_usd`, `passed` for what is no
    request to a model, `refused.<code>`, `lessons` and `lessons_lost`.
    """

    plugin: RouterContext

    def __init__(self) -> None:
        self._choice: Choice | None = None
        self._situation = Situation()
        self._debugs = False
        self._learns = False
        self._answered: Model | None = None
        self._failed: list[Model] = []
        self._reward: float | None = None
        self._usage: UsageReader | None = None
        self._output_tokens: int | None = None

    async def on_request_headers(self, request: Request) -> Outcome:
        """Wait for the body, choose, and send the request on its way."""
        config = self.config
        given = dict(reversed(request.headers.items()))  # Of several values the first.
        if not config.trust_signals:
            signals.remove_forgeable(request.headers)
        method, path = given.get(":method", ""), given.get(":path", "")
        if is_feedback(method, path, config.feedback):
            return await self._take_judgement(request, given)
        if not wants_body(method, path, given, trust_signals=config.trust_signals):
            return self._passed()
        refusal = unreadable(given, config.max_body_bytes)
        body = await request.body.read() if refusal is None else b""
        refusal = refusal or too_large(len(body), config.max_body_bytes)
        if refusal is not None:
            return self._refused_or_passed(refusal, path)
        now_s = self.now()
        desk = self.plugin.desk(config)
        try:
            situation = read_situation(given, body, now_s, config)
            if situation is None:
                return self._passed()
            choice = desk.router.choose(situation, desk.news.read(now_s, self.shared.get), random.random)
            edited = set_members(body, {"model": choice.model.upstream_name})
        except InvalidRequestError as error:
            return self._refused_or_passed(error.refusal, path)
        except RefusedError as error:
            return self._refused(error.refusal, error.retry_after_s)
        self._choice, self._situation = choice, situation
        desk.router.begin(choice.model.key)
        self._debugs = given.get(signals.DEBUG) == "true"
        self._learns = random.random() < config.learning.share
        request.headers.update(headers(choice))
        if self._learns and "accept-encoding" in given:
            del request.headers["accept-encoding"]  # There is nothing here to decompress the answer with.
        if edited is not body:
            request.body.replace(edited)
        self._count(desk, choice, situation)
        return CONTINUE

    def on_response_headers(self, response: Response) -> Outcome:
        """Tell the caller who answers, and look at how it went."""
        choice = self._choice
        if choice is None:
            return CONTINUE
        # Who made the attempt that succeeded says so here, when that was a fallback.
        self._answered = _named(response.headers.get(signals.MODEL), choice) or choice.model
        values = {
            signals.MODEL: self._answered.name,
            signals.PROVIDER: self._answered.provider,
            signals.STRATEGY: choice.strategy,
        }
        if self._debugs:
            chosen = headers(choice)
            situation = self._situation
            values |= {name: chosen[name] for name in _SHOWN}
            values[signals.COMPLEXITY] = signals.encode_share(situation.complexity)
            values[signals.DOMAIN] = situation.domain
            values[signals.PROMPT_TOKENS] = str(situation.prompt_tokens)
        if self._learns or choice.strategy == "bandit":
            self._failed = _failed_in(response.headers.get(signals.FAILED), choice)
            self._look_at(response)
        response.headers.update(values)
        return CONTINUE

    def on_response_body(self, response: Response) -> Outcome:
        """Look for the usage in an answer from which is learnt."""
        usage = self._usage
        if usage is not None:
            usage.feed(response.body.chunk)
            if response.end_of_stream:
                reported = usage.finish()
                self._output_tokens = None if reported is None else reported.output_tokens
                self._usage = None
        return CONTINUE

    def on_log(self) -> None:
        """Put down what was decided, and what was learnt."""
        choice = self._choice
        if choice is None:
            return
        if self.config.audit:
            record = json.dumps(choice.make_record(), ensure_ascii=False, separators=(",", ":"))
            self.properties.set(_AUDIT, record)
        if self._answered is not None and (self._output_tokens is not None or self._reward is not None):
            limit = self._situation.max_tokens
            lesson = Lesson(
                model=self._answered.name,
                domain=self._situation.domain,
                output_tokens=self._output_tokens,
                was_limited=limit is not None and (self._output_tokens or 0) >= limit,
                reward=self._reward,
            )
            self._learn(self._answered, lesson)
        for model in self._failed:
            if model is not self._answered or self._reward is None:
                self._learn(model, Lesson(model=model.name, domain=self._situation.domain, reward=0.0))

    def on_done(self) -> None:
        """Give the place up that the request took."""
        if self._choice is not None:
            self.plugin.desk(self.config).router.end(self._choice.model.key)

    def _look_at(self, response: Response) -> None:
        """Judge the answer by what its headers say, and have its usage read if there will be one."""
        config = self.config
        status = response.status
        details = response.code_details if status >= 400 else None
        # Of the time that others have taken first nobody knows how much it was.
        latency_ms = 0.0 if self._failed else (self.now() - self._situation.now_s) * 1000
        self._reward = judge_outcome(status, details, latency_ms, config.feedback)
        if config.feedback.header:
            score = read_score(response.headers.get(config.feedback.header))
            self._reward = self._reward if score is None else score
        if self._learns and status == 200 and "content-encoding" not in response.headers:
            self._usage = UsageReader(response.headers.get("content-type"), counts_output=False)

    async def _take_judgement(self, request: Request, given: Mapping[str, str]) -> Outcome:
        """Learn from what somebody says about an answer; such a request goes nowhere else."""
        config = self.config
        refusal = may_judge(given.get(config.consumer_header), config.feedback)
        if refusal is not None:
            return self._refused(refusal)
        try:
            judgement = read_judgement(await request.body.read(), config.catalog)
        except InvalidRequestError as error:
            return self._refused(error.refusal)
        lesson = Lesson(
            model=judgement.model.name,
            domain=judgement.domain,
            reward=judgement.score,
            weight=config.feedback.weight,
        )
        self._learn(judgement.model, lesson)
        return Reply(204, details="feedback_taken")

    def _learn(self, model: Model, lesson: Lesson) -> None:
        now_s = self.now()
        rules = self.config.learning
        expected_tokens = self.plugin.desk(self.config).expected_tokens(lesson.domain)
        try:
            self.shared.update(
                learning_key(model.provider),
                lambda value: learn(value, lesson, expected_tokens=expected_tokens, now_s=now_s, rules=rules),
            )
        except SharedDataContentionError:  # One of many: the next ones teach the same.
            self._increment("lessons_lost")
        else:
            self._increment("lessons")

    def _count(self, desk: Desk, choice: Choice, situation: Situation) -> None:
        self.metrics.counter(desk.metric_of(choice)).increment()
        self._increment("estimated_cost_nano_usd", choice.estimated_cost_nano_usd)
        requested = situation.requested_model
        if requested is not None and choice.strategy != "explicit":
            named = self.config.catalog.find(requested)
            if named is not None and named.key != choice.model.key:
                self._increment("overridden")

    def _passed(self) -> Outcome:
        self._increment("passed")
        return CONTINUE

    def _refused_or_passed(self, refusal: Refusal, path: str) -> Outcome:
        """Refuse what cannot be routed, unless that is configured to pass or is no request to a model."""
        on_refusable = self.config.on_too_large if refusal.status == 413 else self.config.on_invalid
        if on_refusable == "pass" or format_of_path(path) is None:
            return self._passed()
        return self._refused(refusal)

    def _refused(self, refusal: Refusal, retry_after_s: int | None = None) -> Outcome:
        self._increment(f"refused.{refusal.code}")
        after = [] if retry_after_s is None else [("retry-after", str(retry_after_s))]
        return Reply.json(refusal.status, refusal.to_json(), headers=after, details=refusal.code or "")

    def _increment(self, what: str, amount: int = 1) -> None:
        self.metrics.counter(f"{_METRICS}.{what}").increment(amount)


def _named(name: str | None, choice: Choice) -> Model | None:
    """Find the model of that name among those that may have answered."""
    return next((model for model in (choice.model, *choice.fallbacks) if model.name == name), None)


def _failed_in(names: str | None, choice: Choice) -> list[Model]:
    """Find those among them that were asked and failed, by `provider/model` with commas between."""
    failed = names.split(",") if names else ()
    return [model for model in (choice.model, *choice.fallbacks) if model.key in failed]
