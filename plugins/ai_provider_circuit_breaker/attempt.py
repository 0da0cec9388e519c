"""The plugin `ai-provider-attempt`: an upstream filter, called for each attempt to send a request on.

The proxy makes the attempts. This filter gives each the model, the path and no key but its own, tells the
breaker what came of it, and says where the next one goes. It can do so up to the moment an attempt has
ended: also after a timeout, and with breakers as they are then.
"""

import contextlib
import re
from typing import Final

from aigateway import signals
from aigateway.json_edit import set_members
from aigateway.refusals import InvalidRequestError, Refusal
from proxywasm import CONTINUE, HttpFilter, Outcome, Reply, Request, Response, plugin

from .chain import Chain, Trouble, choose, input_cost
from .config import Config
from .context import BreakerContext
from .directory import Target
from .handover import ATTEMPT, NEXT_CLUSTER, Attempt, decode_attempt, encode_attempt
from .last_resort import wait_s
from .outcomes import DISCONNECTED, VIA_UPSTREAM, Event, Exchange, Kind, classify, is_caller_gone
from .watch import Watch

__all__ = ["NO_PROVIDER_LEFT", "ProviderAttempt"]

NO_PROVIDER_LEFT: Final = "no_provider_left"
"""What `response.code_details` says when nobody was left for an attempt."""

_API_PREFIX: Final = "/v1"
_RATE_LIMITED: Final = "x-envoy-ratelimited"
"""On an answer it keeps Envoy from trying again."""

_CREDENTIALS: Final = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie")
"""What is meant for one provider must not go to another."""

_RETRIABLE: Final = frozenset({Kind.FAILURE, Kind.RATE_LIMITED, Kind.UNAUTHORIZED})
_OF_THE_CALLER: Final = frozenset({400, 413, 422})
_RETRIED_STATUS: Final = 503
"""The status that makes Envoy try again, where the provider's own does not."""

_TOKENS: Final = re.compile(r"[0-9]{1,9}")
_LONGEST_ERROR: Final = 65_536
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
        self._prompt_tokens = 0
        self._path_prefix = ""
        self._is_settled = False

    async def on_request_headers(self, request: Request) -> Outcome:
        """Make the request one for the provider of this attempt."""
        number = self.properties.get_int("upstream", "request_attempt_count") or 1
        attempt = decode_attempt(self.properties.get(ATTEMPT))
        if attempt is None or attempt.number != number or not attempt.tried:
            if number > 1:
                return self._refusal(attempt)
            self._lead_to(request, self.properties.cluster_name, "")
            return CONTINUE
        target = self.config.directory.named(attempt.tried[-1])
        if number > 1:
            await self._turn_to(request, target, attempt)
        if self.config.surroundings.path_prefixes:
            cluster = target.model.cluster if target.model else self.properties.cluster_name
            self._lead_to(request, cluster, attempt.path_prefix)
        self._attempt, self._target = attempt, target
        # Later they cannot be read any more.
        self._fallbacks = request.headers.get(signals.FALLBACKS)
        if self.config.bounds.limit_nano_usd:
            tokens = request.headers.get(signals.PROMPT_TOKENS) or ""
            self._prompt_tokens = int(tokens) if _TOKENS.fullmatch(tokens) else 0
        self._watch = Watch(attempt.format, self.now())
        return CONTINUE

    async def on_response_headers(self, response: Response) -> Outcome:
        """Choose who is asked next if this is no answer, and otherwise find out how to look at it."""
        attempt, target, watch = self._attempt, self._target, self._watch
        if attempt is None or target is None:
            response.headers[_RATE_LIMITED] = "true"
            return CONTINUE
        headers = response.headers
        status = response.status
        watch.answered(status, headers)
        watch.has_ended = response.end_of_stream
        if status < 300:
            if watch.is_streamed:
                del headers["content-length"]  # An event may have to be appended.
            return CONTINUE
        event = classify(watch.exchange(self.now(), VIA_UPSTREAM), self.config.limits)
        trouble = Trouble.FAILED if event.kind in _RETRIABLE else None
        if status in _OF_THE_CALLER:
            trouble = await self._trouble_of(response)
        self._settle(target, attempt, event)
        following = None
        if trouble is not None:
            kept = 0 if trouble is Trouble.FAILED else status
            following = self._choose(trouble, event.cause, status=kept)
        if following is None or not following.tried:
            headers[_RATE_LIMITED] = "true"
            self.properties.set(ATTEMPT, encode_attempt(attempt.settled()))
            return CONTINUE
        del headers[_RATE_LIMITED]  # It is the provider's, and of no meaning to another one.
        if following.status:
            response.status = _RETRIED_STATUS
        self._follow(following)
        return CONTINUE

    def on_response_body(self, response: Response) -> Outcome:
        """Look at the answer as it passes, and say so if its end is missing."""
        watch = self._watch
        is_last = watch.has_ended = response.end_of_stream
        if watch.wants_body:
            chunk = response.body.chunk
            if missing := watch.feed(chunk, self.now, is_last=is_last):
                response.body.replace(chunk + missing)
        return CONTINUE

    def on_response_trailers(self, response: Response) -> Outcome:
        """Take note of the end."""
        self._watch.has_ended = True
        return CONTINUE

    def on_done(self) -> None:
        """Settle the attempt, and if there was no answer choose the next."""
        attempt, target = self._attempt, self._target
        if attempt is None or target is None or self._is_settled:
            return
        exchange = self._exchange()
        if exchange.status is None and not is_caller_gone(exchange):
            cause = self._cause_of_silence(exchange)
            self._settle(target, attempt, Event(Kind.FAILURE, cause))
            following = self._choose(Trouble.FAILED, cause)
            self._follow(following)
            return
        event = classify(exchange, self.config.limits)
        self._settle(target, attempt, event)
        self.properties.set(ATTEMPT, b"")
        if event.kind in (Kind.SUCCESS, Kind.SLOW):
            self.plugin.note(target, exchange, self._watch.output_tokens, self.config)

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

    def _refusal(self, attempt: Attempt | None) -> Reply:
        """Answer an attempt that nobody is left for."""
        cause = attempt.cause if attempt and attempt.cause else "failed"
        wait = max(1, attempt.wait_s if attempt else 1)
        is_late = cause == "timeout"
        error = Refusal(
            status=504 if is_late else 503,
            message=f"No provider has answered, and none is left to try: {cause}. Try again in {wait} s.",
            type="server_error",
            code=NO_PROVIDER_LEFT,
        )
        return Reply.json(
            error.status, error.to_json(), headers={"retry-after": str(wait)}, details=NO_PROVIDER_LEFT
        )

    async def _trouble_of(self, response: Response) -> Trouble | None:
        """Read an error that the request is to blame for, and say whether it is so only for this model."""
        length = response.headers.get("content-length") or "0"
        if not length.isdigit() or int(length) > _LONGEST_ERROR:
            return None
        body = await response.body.read()
        self._watch.has_ended = True
        if _TOO_LONG.search(body):
            return Trouble.TOO_LONG
        return Trouble.FILTERED if _FILTERED.search(body) else None

    def _exchange(self) -> Exchange:
        """Say how the attempt went; until there is an answer the proxy's details are of the one before."""
        watch, now_s = self._watch, self.now()
        if watch.has_ended:
            return watch.exchange(now_s, VIA_UPSTREAM)
        details = self.response.code_details
        if details in DISCONNECTED:
            return watch.exchange(now_s, details)
        flags = self.properties.get_int("response", "flags") or 0
        if watch.status is None:
            return watch.exchange(now_s, None, flags)
        # An answer without an end. The flags say whether it was the caller who did not want the rest.
        left = is_caller_gone(watch.exchange(now_s, None, flags))
        return watch.exchange(now_s, DISCONNECTED[0] if left else VIA_UPSTREAM, is_cut=not left)

    def _cause_of_silence(self, exchange: Exchange) -> str:
        """Say, as far as it can be seen, why there was no answer."""
        if self.properties.get("upstream", "transport_failure_reason"):
            address = self.properties.get_str("upstream", "address")
            return "unreachable" if address == _NEVER_SENT else "connect_failure"
        limit_s = self.config.surroundings.timeout_s
        return "timeout" if limit_s and exchange.duration_s >= limit_s * 0.95 else "reset"

    def _settle(self, target: Target, attempt: Attempt, event: Event) -> None:
        self._is_settled = True
        self.plugin.settle(target, attempt.permit, event, self.config)

    def _choose(self, trouble: Trouble, cause: str, *, status: int = 0) -> Attempt:
        """Choose who is tried next, and give the attempt; nobody takes it if nobody may be."""
        attempt, failed = self._attempt, self._target
        assert attempt is not None
        assert failed is not None
        config, now_s = self.config, self.now()
        # A connection that breaks or stays silent may have been charged for; an error is not.
        may_cost = input_cost(failed, self._prompt_tokens) if cause in ("timeout", "reset") else 0
        chain = Chain(
            tried=attempt.tried,
            failed=failed,
            candidates=config.directory.fallbacks(self._fallbacks),
            began_s=attempt.began_s,
            spent_nano_usd=attempt.spent_nano_usd + may_cost,
            prompt_tokens=self._prompt_tokens,
        )
        choice = choose(
            chain,
            trouble,
            now_s=now_s,
            bounds=config.bounds,
            ask=lambda target: self.plugin.ask(target, now_s, config),
        )
        if choice.target is None:
            self.plugin.count(f"gave_up.{choice.stop}")
            wait = wait_s(choice.denied, now_s) if choice.denied else 1
            return attempt.after((), cause, wait_s=wait)
        self.plugin.count("failed_over")
        return attempt.after(
            (*attempt.tried, choice.target.name),
            cause,
            permit=choice.permit,
            status=status,
            spent_nano_usd=chain.spent_nano_usd,
            path_prefix=self._path_prefix,
        )

    def _follow(self, following: Attempt) -> None:
        """Have the next attempt made as chosen."""
        if following.tried:
            model = self.config.directory.named(following.tried[-1]).model
            assert model is not None
            self.properties.set(NEXT_CLUSTER, model.cluster)
        self.properties.set(ATTEMPT, encode_attempt(following))
