"""What the filters have beyond one stream: breakers to tell, latencies to write, providers to check."""

import logging
import random
from collections.abc import Iterable
from typing import Final, Protocol

from proxywasm import CalloutError, PluginContext, UsageError

from .breaker import Permit, Ruling
from .config import Check, Config
from .directory import Target
from .latency import Sample, decode_latencies, encode_latencies, merge
from .outcomes import Event, Exchange, Kind, classify_check, read_retry_after
from .sharing import ask_for_check, ask_to_send, tell
from .states import SHUT, Transition

__all__ = ["METRICS", "BreakerContext", "Waiting"]

_log = logging.getLogger(__name__)

METRICS: Final = "ai_provider_circuit_breaker"
_TICK_S: Final = 1.0
_MOST_SAMPLES: Final = 4_096
"""Answers of one provider between two ticks; further ones are like these."""


class Waiting(Protocol):
    """A request that waits for an answer."""

    deadline_s: float
    """Until when, in epoch seconds."""

    def give_up(self) -> None:
        """End it."""


class BreakerContext(PluginContext[Config]):
    """Latencies on their way to shared data, the active checks, and requests that may wait too long."""

    def __init__(self) -> None:
        self._waiting: set[Waiting] = set()
        self._samples: dict[str, tuple[Config, list[Sample]]] = {}

    def on_configure(self) -> None:
        """Start the clock."""
        self.set_tick_period(_TICK_S)

    def on_tick(self) -> None:
        """End what has waited too long, write the latencies of the last second, and send checks."""
        now_s = self.now()
        for late in [one for one in self._waiting if one.deadline_s <= now_s]:
            self._waiting.discard(late)
            late.give_up()
        samples, self._samples = self._samples, {}
        for key, (config, answers) in samples.items():
            self._write(key, answers, now_s, config.half_life_s)
        settings = self._global_config()
        if settings is not None and settings.breaker.check_s:
            self._send_checks(settings, now_s)

    def watch_over(self, waiting: Waiting) -> None:
        """End *waiting* when its deadline is past, at the next tick."""
        self._waiting.add(waiting)

    def let_go(self, waiting: Waiting) -> None:
        """Wait no longer for *waiting*, if it is waited for."""
        self._waiting.discard(waiting)

    def note(self, target: Target, exchange: Exchange, output_tokens: int | None, config: Config) -> None:
        """Keep how long a good answer has taken until the next tick."""
        total_ms = exchange.duration_s * 1_000
        self.metrics.histogram(f"{METRICS}.{target.label}.total_ms").record(round(total_ms))
        first_ms = None
        if exchange.is_streamed and exchange.first_byte_s is not None:
            first_ms = max(0.0, exchange.first_byte_s) * 1_000
            self.metrics.histogram(f"{METRICS}.{target.label}.first_ms").record(round(first_ms))
        answers = self._samples.setdefault(target.latency_key, (config, []))[1]
        if len(answers) < _MOST_SAMPLES:
            answers.append(Sample(total_ms=total_ms, first_ms=first_ms, output_tokens=output_tokens))

    def ask(self, target: Target, now_s: float, config: Config) -> Ruling:
        """Ask the breaker of *target* for a permit to send a request."""
        ruling = ask_to_send(self.shared, target.breaker_key, now_s, config.breaker)
        self.report(target, ruling.transition)
        return ruling

    def settle(self, target: Target, permit: Permit, event: Event, config: Config) -> None:
        """Hand a permit back with what came of it, and count that."""
        self.count(f"{target.label}.{event.kind}")
        if event.kind is not Kind.NOT_COUNTED or permit.probe:
            self.tell(target, permit, event, config)

    def count(self, what: str) -> None:
        """Count one request or exchange as *what*."""
        self.metrics.counter(f"{METRICS}.{what}").increment()

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
        name = f"{METRICS}.{target.label}"
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
        self.metrics.counter(f"{METRICS}.{target.label}.check_{event.kind}").increment()
        self.tell(target, permit, event, config)

    def _global_config(self) -> Config | None:
        try:
            return self.config
        except UsageError:  # Only rules: whose settings a check would be under, nobody has said.
            return None


_USUAL_CHECK: Final = Check()
