"""The plugin `ai-provider-attempt`: an upstream filter, called for each attempt to send a request on.

The proxy makes the attempts. This filter gives each the model, the path and no key but its own, tells the
breaker what came of it, and says where the next one goes. It can do so up to the moment an attempt has
ended: also after a timeout, and with breakers as they are then.
"""

import contextlib
import math
import re
from typing import Final

from aigateway import signals
from aigateway.json_edit import set_members
from aigateway.lost_answers import LOST_ANSWERS, LostAnswer, decode_lost_answers, encode_lost_answers
from aigateway.refusals import InvalidRequestError, Refusal
from proxywasm import CONTINUE, PAUSE, HttpFilter, Outcome, Reply, Request, Response, plugin

from .chain import Chain, Stop, Trouble, choose, largest_cost, may_have_cost
from .config import Config
from .context import BreakerContext
from .directory import Target
from .handover import ATTEMPT, NEXT_CLUSTER, Attempt, decode_attempt, encode_attempt
from .last_resort import wait_s
from .outcomes import (
    DISCONNECTED,
    VIA_UPSTREAM,
    Answer,
    Event,
    Exchange,
    Kind,
    classify,
    classify_abandoned,
    is_caller_gone,
)
from .watch import Watch

__all__ = ["DEADLINE_EXCEEDED", "NO_PROVIDER_LEFT", "ProviderAttempt"]

NO_PROVIDER_LEFT: Final = "no_provider_left"
"""What `response.code_details` says when nobody was left for an attempt."""
DEADLINE_EXCEEDED: Final = "deadline_exceeded"
"""What it says when the chain has lasted its time while an attempt was under way."""

_API_PREFIX: Final = "/v1"
_RATE_LIMITED: Final = "x-envoy-ratelimited"
"""On an answer it keeps Envoy from trying again."""

_CREDENTIALS: Final = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie")
"""What is meant for one provider must not go to another."""

_RETRIABLE: Final = frozenset({Kind.FAILURE, Kind.RATE_LIMITED, Kind.UNAUTHORIZED})
_OF_THE_CALLER: Final = frozenset({400, 413, 422})
_RETRIED_STATUS: Final = 503
"""The status that makes Envoy try again, where the provider's own does not."""

_EXPECTED_MS: Final = "x-envoy-expected-rq-timeout-ms"
"""What Envoy tells a provider of its patience; it is none of the provider's business."""
_NEARLY: Final = 0.95
"""Who has had this share of a time is taken to have had it: the proxy's timers are not our clock."""

_LONGEST_ERROR: Final = 65_536
_LONGEST_HELD: Final = 65_536
"""Of an answer that has not begun."""
_TOO_LONG: Final = re.compile(
    rb"context_length_exceeded|maximum context length|prompt is too long|exceeds the maximum number of tokens"
)
"""OpenAI's code and text, which most others have, Anthropic's text and Gemini's."""
_FILTERED: Final = re.compile(rb"content_filter|content_policy_violation|ResponsibleAIPolicyViolation")
"""OpenAI's and Azure's codes."""

_NEVER_SENT: Final = "127.0.0.1:1"
"""Where requests go whose provider has no address at present: nobody listens there."""


@plugin("ai-provider-attempt", config=Config.from_json, on_error="open", context=BreakerContext)
class ProviderAttempt(HttpFilter[Config]):
    """Sends one attempt, settles it, and chooses the next.

    Counters, beside those of the breaker: `ai_provider_circuit_breaker.failed_over`, and
    `.gave_up.<reason>` for requests that somebody else was not tried for.
    """

    plugin: BreakerContext

    def __init__(self) -> None:
        self._attempt: Attempt | None = None
        self._target: Target | None = None
        self._watch = Watch(None, 0.0)
        self._fallbacks: str | None = None
        self._path_prefix = ""
        self._is_settled = False
        self._is_open = False
        """Whether nothing of an answer has gone on, so that another may still be asked."""
        self._is_reading_error = False
        self._held_bytes = 0
        self._seen_bytes = 0
        self.deadline_s = math.inf

    async def on_request_headers(self, request: Request) -> Outcome:
        """Make the request one for the provider of this attempt."""
        number = self.properties.get_int("upstream", "request_attempt_count") or 1
        attempt = decode_attempt(self.properties.get(ATTEMPT))
        if attempt is None or attempt.number != number or not attempt.tried:
            if number > 1:
                return self._refusal(attempt.cause if attempt else "", attempt.wait_s if attempt else 1)
            self._prepare(request, self.properties.cluster_name, "")
            return CONTINUE
        target = self.config.directory.named(attempt.tried[-1])
        if number > 1:
            await self._turn_to(request, target, attempt)
        else:
            del request.headers[_EXPECTED_MS]
        cluster = target.model.cluster if target.model else self.properties.cluster_name
        self._prepare(request, cluster, attempt.path_prefix)
        self._attempt, self._target = attempt, target
        self._fallbacks = request.headers.get(signals.FALLBACKS)  # Later it cannot be read any more.
        self._watch = Watch(attempt.format, self.now(), attempt.limit_s * _NEARLY)
        self._is_open = True
        if self.config.bounds.deadline_s:
            self.deadline_s = attempt.began_s + self.config.bounds.deadline_s
            self.plugin.watch_over(self)
        return CONTINUE

    def on_response_headers(self, response: Response) -> Outcome:
        """Choose who is asked next if this is no answer; otherwise hold it until something of it has come."""
        attempt, watch = self._attempt, self._watch
        headers = response.headers
        if attempt is None or self._is_settled:
            headers[_RATE_LIMITED] = "true"
            return CONTINUE
        status = response.status
        watch.answered(status, headers)
        is_last = watch.has_ended = response.end_of_stream
        if status < 300:
            if watch.is_streamed:
                del headers["content-length"]  # An event may have to be appended.
            if status < 200 or attempt.format is None:
                self._let_go()
            elif not is_last:
                return PAUSE
            else:
                self._judge_beginning(response)
            return CONTINUE
        if status in _OF_THE_CALLER and not is_last and _is_short(headers.get("content-length")):
            self._is_reading_error = True
            return PAUSE
        self._judge_error(response, b"")
        return CONTINUE

    def on_response_body(self, response: Response) -> Outcome:
        """Look at the answer as it passes, and say so if its end is missing."""
        watch = self._watch
        is_last = watch.has_ended = response.end_of_stream
        if self._is_reading_error:
            body = response.body.chunk
            if not is_last and len(body) <= _LONGEST_ERROR:
                return PAUSE
            self._judge_error(response, body[:_LONGEST_ERROR])
            return CONTINUE
        if watch.wants_body:
            chunk = response.body.chunk
            if self._is_open:
                self._seen_bytes = len(chunk)
            if missing := watch.feed(chunk[self._held_bytes :], self.now, is_last=is_last):
                response.body.replace(chunk + missing)
            if self._is_open and watch.wants_more and len(chunk) <= _LONGEST_HELD:
                self._held_bytes = len(chunk)
                return PAUSE
            self._held_bytes = 0
        if self._is_open:
            self._judge_beginning(response)
        return CONTINUE

    def on_response_trailers(self, response: Response) -> Outcome:
        """Take note of the end."""
        self._watch.has_ended = True
        if self._is_reading_error:
            self._judge_error(response, b"")
        elif self._is_open:
            self._judge_beginning(response)
        return CONTINUE

    def on_done(self) -> None:
        """Settle the attempt, and if there was no answer choose the next."""
        self.plugin.let_go(self)
        attempt, target = self._attempt, self._target
        if attempt is None or target is None or self._is_settled:
            return
        exchange = self._exchange()
        if self._is_open and not is_caller_gone(exchange):
            cause = self._cause_of_silence(exchange)
            self._lose_answer(target)
            self._settle(target, attempt, Event(Kind.FAILURE, cause))
            self._follow(self._choose(Trouble.FAILED, cause))
            return
        event = classify(exchange, self.config.limits)
        self._settle(target, attempt, event)
        self.properties.set(ATTEMPT, b"")
        if event.kind in (Kind.SUCCESS, Kind.SLOW):
            self.plugin.note(target, exchange, self._watch.output_tokens, self.config)

    def give_up(self) -> None:
        """End the request: the chain has lasted its time, and there is no answer yet."""
        attempt, target = self._attempt, self._target
        if attempt is None or target is None or not self._is_open:
            return
        exchange = self._watch.exchange(self.deadline_s, None)
        with self.acting():
            self._lose_answer(target)
        self._settle(target, attempt, classify_abandoned(exchange, self.config.limits, "deadline"))
        self._let_go()
        self.plugin.count(f"gave_up.{Stop.DEADLINE}")
        self.end(self._refusal(Stop.DEADLINE, details=DEADLINE_EXCEEDED))

    async def _turn_to(self, request: Request, target: Target, attempt: Attempt) -> None:
        """Make another provider's request one to *target*: all attempts have their headers in common."""
        headers, model = request.headers, target.model
        before = self.config.directory.named(attempt.tried[-2]).model
        if before is None or model is None or before.cluster != model.cluster:
            for name in _CREDENTIALS:
                del headers[name]
        if model is None:
            return
        headers.update(
            {signals.MODEL: model.name, signals.PROVIDER: model.provider, signals.CLUSTER: model.cluster}
        )
        if request.end_of_stream:
            return
        body = await request.body.read()
        with contextlib.suppress(InvalidRequestError):  # Then it names no model, and stays as it is.
            body = set_members(body, {"model": model.upstream_name})
        request.body.replace(body)  # Also where it is the same: `content-length` is of the attempt before.

    def _prepare(self, request: Request, cluster: str | None, prefix: str) -> None:
        """Make the path that of *cluster*, and keep the caller's key from it if it has one of ours."""
        surroundings = self.config.surroundings
        if cluster in surroundings.keyed_clusters:
            del request.headers["authorization"]
        if surroundings.path_prefixes:
            self._lead_to(request, cluster, prefix)

    def _lead_to(self, request: Request, cluster: str | None, prefix: str) -> None:
        """Give the path the prefix that *cluster* has for `/v1`, in place of that of the attempt before."""
        self._path_prefix = prefix
        present = prefix or _API_PREFIX
        wanted = self.config.surroundings.path_prefixes.get(cluster or "", _API_PREFIX)
        if wanted == present:
            return
        path = request.path
        if path.startswith(f"{present}/"):
            request.path = wanted + path[len(present) :]
            self._path_prefix = "" if wanted == _API_PREFIX else wanted

    def _refusal(self, cause: str, wait_s: int = 1, details: str = NO_PROVIDER_LEFT) -> Reply:
        """Answer a request that nobody is asked for any more."""
        wait_s = max(1, wait_s)
        if cause == Stop.DEADLINE:
            code, message = (
                DEADLINE_EXCEEDED,
                f"No provider has answered in {self.config.bounds.deadline_s:g} s.",
            )
        else:
            code = NO_PROVIDER_LEFT
            message = f"No provider has answered, and none is left to try: {cause or 'failed'}."
        error = Refusal(
            status=504 if cause in (Stop.DEADLINE, "timeout") else 503,
            message=f"{message} Try again in {wait_s} s.",
            type="server_error",
            code=code,
        )
        return Reply.json(
            error.status, error.to_json(), headers={"retry-after": str(wait_s)}, details=details
        )

    def _judge_error(self, response: Response, body: bytes) -> None:
        """Settle an attempt that was answered with an error, and have the next made if that may help."""
        event = classify(self._watch.exchange(self.now(), VIA_UPSTREAM), self.config.limits)
        trouble = Trouble.FAILED if event.kind in _RETRIABLE else None
        if _TOO_LONG.search(body):
            trouble = Trouble.TOO_LONG
        elif _FILTERED.search(body):
            trouble = Trouble.FILTERED
        self._conclude(response, event, trouble)

    def _judge_beginning(self, response: Response) -> None:
        """Let an answer go on, unless it can be seen by now that it is none."""
        verdict = self._watch.verdict()
        if verdict is Answer.WHOLE:
            self._let_go()
        else:
            self._conclude(response, Event(Kind.FAILURE, verdict.value), Trouble.FAILED)

    def _conclude(self, response: Response, event: Event, trouble: Trouble | None) -> None:
        """Settle the attempt, and have the next made, or keep the proxy from making one."""
        attempt, target = self._attempt, self._target
        assert attempt is not None
        assert target is not None
        self._let_go()
        self._is_reading_error = False
        self._settle(target, attempt, event)
        status = response.status
        following = None
        if trouble is not None:
            is_retried = trouble is Trouble.FAILED and status >= 300
            following = self._choose(trouble, event.cause, status=0 if is_retried else status)
        if following is None or not following.tried:
            response.headers[_RATE_LIMITED] = "true"
            self.properties.set(ATTEMPT, encode_attempt(attempt.settled()))
            return
        if event.cause != Answer.ERROR:
            self._lose_answer(target)
        del response.headers[_RATE_LIMITED]  # It is the provider's, and of no meaning to another one.
        if following.status:
            response.status = _RETRIED_STATUS
        self._follow(following)

    def _lose_answer(self, target: Target) -> None:
        """Leave a word for whoever pays, if an answer had begun that nobody will see."""
        if self._watch.status is None or self._watch.status >= 300:
            return
        lost = decode_lost_answers(self.properties.get_str(LOST_ANSWERS))
        # Of a stream not one event is held that says something.
        lost.append(LostAnswer(target.name, 0 if self._watch.is_streamed else self._seen_bytes))
        self.properties.set(LOST_ANSWERS, encode_lost_answers(lost))

    def _let_go(self) -> None:
        """Have what there is go on to the caller: it is too late for anybody else."""
        self._is_open = False
        self.plugin.let_go(self)

    def _exchange(self) -> Exchange:
        """Say how the attempt went; until there is an answer the proxy's details are of the one before."""
        watch, now_s = self._watch, self.now()
        if watch.has_ended:
            return watch.exchange(now_s, VIA_UPSTREAM)
        details = self.response.code_details
        if details in DISCONNECTED:
            return watch.exchange(now_s, details)
        flags = self.properties.get_int("response", "flags") or 0
        if self._is_open:
            return watch.exchange(now_s, None, flags)
        # An answer without an end. The flags say whether it was the caller who did not want the rest.
        left = is_caller_gone(watch.exchange(now_s, None, flags))
        return watch.exchange(now_s, DISCONNECTED[0] if left else VIA_UPSTREAM, is_cut=not left)

    def _cause_of_silence(self, exchange: Exchange) -> str:
        """Say, as far as it can be seen, why there was no answer."""
        if self.properties.get("upstream", "transport_failure_reason"):
            address = self.properties.get_str("upstream", "address")
            return "unreachable" if address == _NEVER_SENT else "connect_failure"
        limit_s = exchange.limit_s
        return "timeout" if limit_s and exchange.duration_s >= limit_s else "reset"

    def _settle(self, target: Target, attempt: Attempt, event: Event) -> None:
        self._is_settled = True
        self.plugin.settle(target, attempt.permit, event, self.config)

    def _choose(self, trouble: Trouble, cause: str, *, status: int = 0) -> Attempt:
        """Choose who is tried next, and give the attempt; nobody takes it if nobody may be."""
        attempt, failed = self._attempt, self._target
        assert attempt is not None
        assert failed is not None
        config, now_s = self.config, self.now()
        prompt_tokens, max_tokens = attempt.prompt_tokens, attempt.max_tokens
        spent = attempt.spent_nano_usd
        if may_have_cost(cause):
            spent += largest_cost(failed, prompt_tokens, max_tokens, config.bounds)
        chain = Chain(
            tried=attempt.tried,
            failed=failed,
            candidates=config.directory.fallbacks(self._fallbacks),
            began_s=attempt.began_s,
            spent_nano_usd=spent,
            prompt_tokens=prompt_tokens,
            max_tokens=max_tokens,
        )
        choice = choose(
            chain,
            trouble,
            now_s=now_s,
            bounds=config.bounds,
            ask=lambda target: self.plugin.ask(target, now_s, config),
        )
        at_fault = attempt.failed
        if trouble is Trouble.FAILED:
            at_fault = (*at_fault, failed.name)
        if choice.target is None:
            self.plugin.count(f"gave_up.{choice.stop}")
            wait = wait_s(choice.denied, now_s) if choice.denied else 1
            cause = Stop.DEADLINE if choice.stop is Stop.DEADLINE else cause
            return attempt.after((), cause, failed=at_fault, wait_s=wait)
        self.plugin.count("failed_over")
        return attempt.after(
            (*attempt.tried, choice.target.name),
            cause,
            permit=choice.permit,
            failed=at_fault,
            status=status,
            spent_nano_usd=spent,
            path_prefix=self._path_prefix,
        )

    def _follow(self, following: Attempt) -> None:
        """Have the next attempt made as chosen."""
        if following.tried:
            model = self.config.directory.named(following.tried[-1]).model
            assert model is not None
            self.properties.set(NEXT_CLUSTER, model.cluster)
        self.properties.set(ATTEMPT, encode_attempt(following))


def _is_short(announced_bytes: str | None) -> bool:
    """Tell whether an error may be waited for, by the length that it says it has, if it does."""
    if announced_bytes is None:
        return True
    return announced_bytes.isdecimal() and int(announced_bytes[:20]) <= _LONGEST_ERROR
