"""The plugin `ai-provider-circuit-breaker`: sends requests where they may go, and notes the answers.

`attempt` has the upstream filter, which is in the same module.
"""

from typing import Final

from aigateway import signals
from aigateway.chat import Format
from aigateway.formats import format_of_path
from aigateway.intake import asked_in_signals, unreadable, wants_body
from aigateway.json_edit import set_members
from aigateway.refusals import InvalidRequestError
from proxywasm import CONTINUE, HttpFilter, Outcome, Reply, Request, Response, plugin

from .attempt import DEADLINE_EXCEEDED, NO_PROVIDER_LEFT, ProviderAttempt
from .breaker import NO_PERMIT, Permit
from .config import Config
from .context import BreakerContext
from .demand import LONGEST_BODY, Demand, read_demand
from .directory import Target
from .handover import ATTEMPT, Attempt, decode_attempt, encode_attempt
from .last_resort import Denied, least_shut, refusal, wait_s
from .outcomes import DISCONNECTED, UNREACHABLE, VIA_UPSTREAM, Event, Kind, classify
from .watch import Watch

__all__ = ["Breaker", "ProviderAttempt"]

ATTEMPTS: Final = "x-ai-attempts"
RATE_LIMITED: Final = "x-envoy-ratelimited"
TRY_TIMEOUT_MS: Final = "x-envoy-upstream-rq-per-try-timeout-ms"
"""After so long without an answer Envoy ends an attempt, and makes the next."""


@plugin("ai-provider-circuit-breaker", config=Config.from_json, on_error="open", context=BreakerContext)
class Breaker(HttpFilter[Config]):
    """Asks for a permit before a request leaves, and settles it when the stream is over.

    Where `attempts` is `upstream`, it hands the permit over to the filter of the attempt, and settles only
    attempts that never began.

    Counters: `ai_provider_circuit_breaker.<label>.<kind>` for every exchange by what it counts as,
    `.<label>.to_<state>` for changes of state, `.<label>.check_<kind>` for active checks; `.moved`,
    `.refused` and `.last_resort` for requests. Gauge: `.<label>.shut`. Histograms: `.<label>.total_ms` and
    `.<label>.first_ms`.
    """

    plugin: BreakerContext

    def __init__(self) -> None:
        self._target: Target | None = None
        self._permit = NO_PERMIT
        self._format: Format | None = None
        self._demand = Demand()
        self._watch = Watch(None, 0.0)
        self._handed_over = b""

    async def on_request_headers(self, request: Request) -> Outcome:
        """Let the request go where it was sent, or to a fallback, or nowhere."""
        headers, config = request.headers, self.config
        target = config.directory.chosen(headers.get(signals.PROVIDER), headers.get(signals.MODEL))
        if target is None:
            target = config.directory.at_cluster(self.properties.cluster_name)
            if target is None:
                return CONTINUE
        self._format = format_of_path(request.path)
        if config.attempts == "upstream":
            self._demand = await self._demand_of(request)
        now_s = self.now()
        ruling = self.plugin.ask(target, now_s, config)
        if ruling.permit is not None:
            self._send(request, target, ruling.permit, now_s)
            return CONTINUE
        denied = [Denied(target, ruling)]
        for other in config.directory.fallbacks(headers.get(signals.FALLBACKS)):
            ruling = self.plugin.ask(other, now_s, config)
            if ruling.permit is not None:
                self.plugin.count("moved")
                return await self._move(request, other, ruling.permit)
            denied.append(Denied(other, ruling))
        return await self._without_any(request, denied, now_s)

    def on_response_headers(self, response: Response) -> Outcome:
        """Say how often it was tried and who has answered, and find out how to look at the answer."""
        target = self._target
        if target is None:
            return CONTINUE
        headers = response.headers
        details = response.code_details
        is_local = details != VIA_UPSTREAM
        attempts = self.properties.get_int("upstream", "request_attempt_count")
        if attempts is None:
            attempts = int(not is_local)
        del headers[signals.FAILED]  # Whatever a provider says of others.
        if self._handed_over:
            target = self._answering(target, response, attempts)
            attempts -= details == NO_PROVIDER_LEFT  # The upstream filter's answer, and nobody's attempt.
        headers[ATTEMPTS] = str(attempts)
        if is_local:
            return CONTINUE
        if target.model is not None:
            # Whatever the provider says itself: others find the price by this.
            headers.update({signals.MODEL: target.model.name, signals.PROVIDER: target.provider})
        if self._handed_over:
            return CONTINUE  # The filter of the attempt looks at it.
        self._watch.answered(response.status, headers)
        if self._watch.is_streamed:
            del headers["content-length"]  # An event may have to be appended.
        return CONTINUE

    def on_response_body(self, response: Response) -> Outcome:
        """Look at the answer as it passes, and say so if its end is missing."""
        if self._watch.wants_body:
            chunk = response.body.chunk
            if missing := self._watch.feed(chunk, self.now, is_last=response.end_of_stream):
                response.body.replace(chunk + missing)
        return CONTINUE

    def on_log(self) -> None:
        """Hand the permit back with what came of it."""
        if self._target is None:
            return
        if self._handed_over:
            self._settle_what_is_left(self._target)
            return
        now_s, config = self.now(), self.config
        details = self.response.code_details
        flags = 0 if details else self.properties.get_int("response", "flags") or 0
        exchange = self._watch.exchange(now_s, details, flags)
        event = classify(exchange, config.limits)
        self.plugin.settle(self._target, self._permit, event, config)
        if event.kind in (Kind.SUCCESS, Kind.SLOW):
            self.plugin.note(self._target, exchange, self._watch.output_tokens, config)

    async def _demand_of(self, request: Request) -> Demand:
        """Find out what matters of the request for attempts at it, from signals, or else from its body."""
        headers, path = request.headers, request.path
        asked = asked_in_signals(headers)
        if asked is not None:
            return Demand.of(asked)
        if self._format is None or request.end_of_stream or not wants_body(request.method, path, headers):
            return Demand()
        if unreadable(headers, LONGEST_BODY):
            return Demand()
        return read_demand(path, await request.body.read())

    def _send(self, request: Request, target: Target, permit: Permit, now_s: float) -> None:
        """Keep the permit: `on_log` hands it back, or the filter of the attempt, whatever becomes of it."""
        self._target, self._permit = target, permit
        self._watch = Watch(self._format, now_s)
        if self.config.attempts == "upstream":
            demand = self._demand
            limit_s = demand.limit_s(self.config)
            if limit_s:
                request.headers[TRY_TIMEOUT_MS] = str(max(1, round(limit_s * 1_000)))
            attempt = Attempt(
                number=1,
                tried=(target.name,),
                permit=permit,
                format=self._format,
                began_s=now_s,
                limit_s=limit_s,
                prompt_tokens=demand.prompt_tokens,
                max_tokens=demand.max_tokens,
            )
            self._handed_over = encode_attempt(attempt)
            self.properties.set(ATTEMPT, self._handed_over)

    async def _move(self, request: Request, target: Target, permit: Permit) -> Outcome:
        """Send the request to *target* in place of the router's choice."""
        self._send(request, target, permit, self.now())
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
                    signals.MODEL: model.name,
                    signals.PROVIDER: model.provider,
                    signals.CLUSTER: model.cluster,
                    signals.HIGRESS_MODEL: model.name,
                }
            )
        self._watch.sent_s = self.now()
        return CONTINUE

    async def _without_any(self, request: Request, denied: list[Denied], now_s: float) -> Outcome:
        """Refuse a request that nobody may be tried for, or try whoever is least shut."""
        if self.config.on_all_shut == "refuse":
            self.plugin.count("refused")
            error = refusal(denied, now_s)
            headers = {"retry-after": str(wait_s(denied, now_s)), ATTEMPTS: "0"}
            return Reply.json(error.status, error.to_json(), headers=headers, details=error.code or "")
        self.plugin.count("last_resort")
        best = least_shut(denied)
        permit = Permit(best.ruling.breaker.generation)
        if best is not denied[0]:
            return await self._move(request, best.target, permit)
        self._send(request, best.target, permit, now_s)
        return CONTINUE

    def _answering(self, target: Target, response: Response, attempts: int) -> Target:
        """Find out whose answer this is, and take back what it was changed by to be retried."""
        value = self.properties.get(ATTEMPT)
        attempt = None if value == self._handed_over else decode_attempt(value)
        if attempt is None:
            return target
        if attempt.failed:
            response.headers[signals.FAILED] = ",".join(attempt.failed)
        del response.headers[RATE_LIMITED]
        tried = attempt.tried
        if attempt.number > attempts:  # The proxy has not made the attempt that was chosen.
            if attempt.status:
                response.status = attempt.status
            tried = tried[:-1]
        return self.config.directory.named(tried[-1]) if tried else target

    def _settle_what_is_left(self, target: Target) -> None:
        """Settle an attempt that was handed over, if the filter of the attempt has not."""
        attempt = decode_attempt(self.properties.get(ATTEMPT))
        if attempt is None or attempt.is_settled or not attempt.tried:
            return
        details = self.response.code_details
        target = self.config.directory.named(attempt.tried[-1])
        attempts = self.properties.get_int("upstream", "request_attempt_count") or 0
        if attempt.number > attempts and details not in UNREACHABLE:
            if attempt.permit.probe:
                never_began = Event(Kind.NOT_COUNTED, "never_began")
                self.plugin.tell(target, attempt.permit, never_began, self.config)
            return
        if details in DISCONNECTED:
            return  # The filter of the attempt hears of it after this one.
        if details == DEADLINE_EXCEEDED:
            return  # It was that filter that has ended it.
        if details == VIA_UPSTREAM:
            self._watch.status = self.properties.get_int("response", "code")
        event = classify(self._watch.exchange(self.now(), details), self.config.limits)
        self.plugin.settle(target, attempt.permit, event, self.config)
