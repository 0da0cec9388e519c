"""The plugin `ai-provider-circuit-breaker`: sends requests where they may go, and notes the answers."""

import logging
import random
from collections.abc import Iterable
from typing import Final

from aigateway.chat import Format
from aigateway.formats import format_of_path
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
    UsageError,
    plugin,
)

from .answers import AnswerReader, EventStreamReader, answer_reader
from .breaker import Permit, Ruling
from .config import Check, Config
from .directory import Target
from .last_resort import Denied, least_shut, refusal, wait_s
from .latency import Sample, decode_latencies, encode_latencies, merge
from .outcomes import Event, Exchange, Kind, classify, classify_check, read_retry_after
from .sharing import ask_for_check, ask_to_send, tell
from .states import SHUT, Transition

_log = logging.getLogger(__name__)

_METRICS: Final = "ai_provider_circuit_breaker"
_TICK_S: Final = 1.0
_MOST_SAMPLES: Final = 4_096
"""Answers of one provider between two ticks; further ones are like these."""

MODEL: Final = "x-ai-model"
PROVIDER: Final = "x-ai-provider"
CLUSTER: Final = "x-ai-cluster"
FALLBACKS: Final = "x-ai-fallbacks"
HIGRESS_MODEL: Final = "x-higress-llm-model"
ATTEMPTS: Final = "x-ai-attempts"


class BreakerContext(PluginContext[Config]):
    """Latencies on their way to shared data, and the active checks."""

    def __init__(self) -> None:
        self._samples: dict[str, tuple[Config, list[Sample]]] = {}

    def on_configure(self) -> None:
        """Start the clock."""
        self.set_tick_period(_TICK_S)

    def on_tick(self) -> None:
        """Write the latencies of the last second, and send the checks that are due."""
        now_s = self.now()
        samples, self._samples = self._samples, {}
        for key, (config, answers) in samples.items():
            self._write(key, answers, now_s, config.half_life_s)
        settings = self._global_config()
        if settings is not None and settings.breaker.check_s:
            self._send_checks(settings, now_s)

    def note(self, key: str, sample: Sample, config: Config) -> None:
        """Keep an answer until the next tick."""
        answers = self._samples.setdefault(key, (config, []))[1]
        if len(answers) < _MOST_SAMPLES:
            answers.append(sample)

    def tell(self, target: Target, permit: Permit, event: Event, config: Config) -> None:
        """Tell the breaker of *target* what has happened, and everybody what the breaker makes of it."""
        transition = tell(
            self.shared,
            target.breaker_key,
            permit,
            event,
            now_s=self.now(),
            draw=random.random(),
            settings=config.breaker,
        )
        self.report(target, transition, event.cause)

    def report(self, target: Target, transition: Transition | None, cause: str = "") -> None:
        """Put a change of state into the log and the metrics."""
        if transition is None:
            return
        is_shut = transition.after in SHUT
        name = f"{_METRICS}.{target.label}"
        self.metrics.counter(f"{name}.to_{transition.after}").increment()
        self.metrics.gauge(f"{name}.shut").set(int(is_shut))
        _log.log(
            logging.WARNING if is_shut else logging.INFO,
            "a breaker has changed: key=%s before=%s after=%s signal=%s cause=%s for_s=%.1f",
            target.breaker_key,
            transition.before,
            transition.after,
            transition.signal,
            cause or "-",
            max(0.0, transition.until_s - self.now()) if is_shut else 0.0,
        )

    def _write(self, key: str, answers: Iterable[Sample], now_s: float, half_life_s: float) -> None:
        def change(value: bytes | None) -> bytes:
            return encode_latencies(merge(decode_latencies(value), answers, now_s, half_life_s))

        self.shared.update(key, change, attempts=64)

    def _send_checks(self, config: Config, now_s: float) -> None:
        for target in config.directory.all:
            ruling = ask_for_check(self.shared, target.breaker_key, now_s, config.breaker)
            if ruling.permit is not None:
                self.run_in_background(self._check(target, ruling.permit, config))

    async def _check(self, target: Target, permit: Permit, config: Config) -> None:
        check = config.checks.get(target.provider, _USUAL_CHECK)
        cluster = target.model.cluster if target.model else target.provider
        try:
            answer = await self.http_call(
                cluster,
                method=check.method,
                path=check.path,
                authority=check.authority,
                headers={"content-type": "application/json"} if check.body else {},
                body=check.body.encode(),
                timeout_s=config.check_timeout_s,
            )
        except CalloutError:
            event = Event(Kind.FAILURE, "check_failed")
        else:
            wait = read_retry_after(answer.headers.get("retry-after"), self.now())
            event = classify_check(answer.status, wait, config.limits)
        self.metrics.counter(f"{_METRICS}.{target.label}.check_{event.kind}").increment()
        self.tell(target, permit, event, config)

    def _global_config(self) -> Config | None:
        try:
            return self.config
        except UsageError:  # Only rules: whose settings a check would be under, nobody has said.
            return None


@plugin("ai-provider-circuit-breaker", config=Config.from_json, on_error="open", context=BreakerContext)
class Breaker(HttpFilter[Config]):
    """Asks for a permit before a request leaves, and settles it when the stream is over.

    Counters: `ai_provider_circuit_breaker.<label>.<kind>` for every exchange by what it counts as,
    `.<label>.to_<state>` for changes of state, `.<label>.check_<kind>` for active checks; `.moved`,
    `.refused` and `.last_resort` for requests. Gauge: `.<label>.shut`. Histograms: `.<label>.total_ms` and
    `.<label>.first_ms`.
    """

    plugin: BreakerContext

    def __init__(self) -> None:
        self._target: Target | None = None
        self._permit: Permit | None = None
        self._format: Format | None = None
        self._sent_s = 0.0
        self._status: int | None = None
        self._retry_after: str | None = None
        self._reader: AnswerReader = _ANY_ANSWER
        self._first_byte_s: float | None = None

    async def on_request_headers(self, request: Request) -> Outcome:
        """Get a permit for the router's choice, or for the first fallback that there is one for."""
        headers, config = request.headers, self.config
        target = config.directory.chosen(headers.get(PROVIDER), headers.get(MODEL))
        if target is None:
            target = config.directory.at_cluster(self.properties.cluster_name)
            if target is None:
                return CONTINUE
        self._format = format_of_path(request.path)
        now_s = self.now()
        ruling = self._ask(target, now_s)
        if ruling.permit is not None:
            self._hold(target, ruling.permit)
            self._sent_s = now_s
            return CONTINUE
        denied = [Denied(target, ruling)]
        for other in config.directory.fallbacks(headers.get(FALLBACKS)):
            ruling = self._ask(other, now_s)
            if ruling.permit is not None:
                self._count("moved")
                return await self._move(request, other, ruling.permit)
            denied.append(Denied(other, ruling))
        return await self._without_any(request, denied, now_s)

    def on_response_headers(self, response: Response) -> Outcome:
        """Say how often it was tried, and find out how to look at the answer."""
        if self._target is None:
            return CONTINUE
        headers = response.headers
        is_local = response.is_local_reply
        attempts = self.properties.get_int("upstream", "request_attempt_count")
        headers[ATTEMPTS] = str(int(not is_local) if attempts is None else attempts)
        if is_local:
            return CONTINUE
        if self._target.model is not None:
            # Whatever the provider says itself: others find the price by this.
            headers.update({MODEL: self._target.model.name, PROVIDER: self._target.provider})
        self._status = response.status
        if self._status < 300:
            self._reader = answer_reader(
                headers.get("content-type"), headers.get("content-encoding"), self._format
            )
            if isinstance(self._reader, EventStreamReader):
                del headers["content-length"]  # An event may have to be appended.
        else:
            self._retry_after = headers.get("retry-after")
        return CONTINUE

    def on_response_body(self, response: Response) -> Outcome:
        """Look at the answer as it passes, and say so if its end is missing."""
        reader = self._reader
        if reader is not _ANY_ANSWER:
            chunk = response.body.chunk
            reader.feed(chunk)
            if self._first_byte_s is None and reader.has_begun:
                self._first_byte_s = self.now() - self._sent_s
            if response.end_of_stream and (missing := reader.missing_end()):
                response.body.replace(chunk + missing)
        return CONTINUE

    def on_log(self) -> None:
        """Hand the permit back with what came of it."""
        target, permit = self._target, self._permit
        if target is None or permit is None:
            return
        now_s, config = self.now(), self.config
        details = self.response.code_details
        exchange = Exchange(
            status=self._status,
            code_details=details,
            flags=0 if details else self.properties.get_int("response", "flags") or 0,
            answer=self._reader.finish(),
            is_streamed=isinstance(self._reader, EventStreamReader),
            retry_after_s=read_retry_after(self._retry_after, now_s),
            first_byte_s=self._first_byte_s,
            duration_s=max(0.0, now_s - self._sent_s),
        )
        event = classify(exchange, config.limits)
        self._count(f"{target.label}.{event.kind}")
        if event.kind is not Kind.NOT_COUNTED or permit.probe:
            self.plugin.tell(target, permit, event, config)
        if event.kind in (Kind.SUCCESS, Kind.SLOW):
            self._note_latency(target, exchange)

    def _ask(self, target: Target, now_s: float) -> Ruling:
        ruling = ask_to_send(self.shared, target.breaker_key, now_s, self.config.breaker)
        self.plugin.report(target, ruling.transition)
        return ruling

    def _hold(self, target: Target, permit: Permit) -> None:
        """Keep the permit: `on_log` hands it back, whatever becomes of the request."""
        self._target, self._permit = target, permit

    async def _move(self, request: Request, target: Target, permit: Permit) -> Outcome:
        """Send the request to *target* in place of the router's choice."""
        self._hold(target, permit)
        model = target.model
        if model is not None:
            body = b"" if request.end_of_stream else await request.body.read()
            try:
                changed = set_members(body, {"model": model.upstream_name}) if body else body
            except InvalidRequestError:
                # It names no model: what to make of it is the provider's to say.
                changed = body
            if changed is not body:
                request.body.replace(changed)
            request.headers.update(
                {
                    MODEL: model.name,
                    PROVIDER: model.provider,
                    CLUSTER: model.cluster,
                    HIGRESS_MODEL: model.name,
                }
            )
        self._sent_s = self.now()
        return CONTINUE

    async def _without_any(self, request: Request, denied: list[Denied], now_s: float) -> Outcome:
        """Refuse a request that nobody may be tried for, or try whoever is least shut."""
        if self.config.on_all_shut == "refuse":
            self._count("refused")
            error = refusal(denied, now_s)
            headers = {"retry-after": str(wait_s(denied, now_s)), ATTEMPTS: "0"}
            return Reply.json(error.status, error.to_json(), headers=headers, details=error.code or "")
        self._count("last_resort")
        best = least_shut(denied)
        permit = Permit(best.ruling.breaker.generation)
        if best is not denied[0]:
            return await self._move(request, best.target, permit)
        self._hold(best.target, permit)
        self._sent_s = now_s
        return CONTINUE

    def _note_latency(self, target: Target, exchange: Exchange) -> None:
        total_ms = exchange.duration_s * 1_000
        self.metrics.histogram(f"{_METRICS}.{target.label}.total_ms").record(round(total_ms))
        first_ms = None
        if exchange.is_streamed and exchange.first_byte_s is not None:
            first_ms = max(0.0, exchange.first_byte_s) * 1_000
            self.metrics.histogram(f"{_METRICS}.{target.label}.first_ms").record(round(first_ms))
        sample = Sample(total_ms=total_ms, first_ms=first_ms, output_tokens=self._reader.output_tokens)
        self.plugin.note(target.latency_key, sample, self.config)

    def _count(self, what: str) -> None:
        self.metrics.counter(f"{_METRICS}.{what}").increment()


_ANY_ANSWER: Final = AnswerReader()
_USUAL_CHECK: Final = Check()
