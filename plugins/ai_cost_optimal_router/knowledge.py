"""Keeping what is known of the providers up to date with shared data.

Shared data can only be asked key by key, and asking costs time in every request that does it. So each worker
asks for breakers at most every tenth of a second, and for latencies and what was learnt every second; a
decision in between is made from what was known then. A mapping of `Knowledge` is replaced only when something
in it has changed, because the router remembers what it made of each.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from aigateway.catalog import Catalog
from aigateway.config import Reader
from aigateway.health import (
    BreakerState,
    LatencyStats,
    breaker_key,
    decode_health,
    decode_latency,
    latency_key,
)

from .learning import Learning, Learnt, learning_key, lessons_of
from .situation import ANY_MODEL, Evidence, Knowledge

__all__ = ["Newsreader", "Refresh", "read_refresh"]

_STEPS_PER_HALF_LIFE: Final = 8
"""Evidence fades in steps of this part of its half-life: 8 % each."""

Get = Callable[[str], bytes | None]
"""Asks shared data for the value of a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """How often is asked for what."""

    breaker_s: float = 0.1
    """After this time breakers are asked for again."""
    latency_s: float = 1.0
    """After this time latencies, and what was learnt."""
    per_model: bool = False
    """Whether there are breakers and latencies of single models beside those of providers."""


def read_refresh(reader: Reader) -> Refresh:
    """Read the table `knowledge`."""
    table, default = reader.table("knowledge"), Refresh()
    return Refresh(
        breaker_s=table.number("breaker_refresh_s", default.breaker_s, at_least=0, at_most=3600),
        latency_s=table.number("latency_refresh_s", default.latency_s, at_least=0, at_most=3600),
        per_model=table.boolean("per_model", default.per_model),
    )


class Newsreader:
    """What one worker knows, for one configuration."""

    def __init__(self, catalog: Catalog, refresh: Refresh, learning: Learning) -> None:
        providers = dict.fromkeys(model.provider for model in catalog)
        models = [(model.provider, model.name) for model in catalog] if refresh.per_model else []
        self._breakers = _Values(
            {name: breaker_key(name) for name in providers}
            | {f"{provider}/{name}": breaker_key(provider, name) for provider, name in models}
        )
        self._latencies = _Values(
            {name: latency_key(name) for name in providers}
            | {f"{provider}/{name}": latency_key(provider, name) for provider, name in models}
        )
        self._lessons = _Values({name: learning_key(name) for name in providers})
        self._keys = frozenset(model.key for model in catalog)
        self._refresh = refresh
        self._learning = learning
        self._fast_s = self._slow_s = float("-inf")
        self._fading_step = 0
        self._knowledge = Knowledge()

    def read(self, now_s: float, get: Get) -> Knowledge:
        """Return what is known, after asking for what is due."""
        # A clock that has stepped back is a reason to ask, too.
        if not 0 <= now_s - self._fast_s < self._refresh.breaker_s:
            self._fast_s = now_s
            self._read_breakers(get)
        if not 0 <= now_s - self._slow_s < self._refresh.latency_s:
            self._slow_s = now_s
            self._read_latencies(get)
            self._read_lessons(get, now_s)
        return self._knowledge

    def _read_breakers(self, get: Get) -> None:
        if not self._breakers.changed(get):
            return
        closed = {}
        for name, value in self._breakers.items():
            health = decode_health(value)
            if health is not None and health.state is not BreakerState.CLOSED:
                closed[name] = health.until_s
        if closed != self._knowledge.closed:
            self._knowledge = replace(self._knowledge, closed=closed)

    def _read_latencies(self, get: Get) -> None:
        if not self._latencies.changed(get):
            return
        latency: dict[str, LatencyStats] = {}
        for name, value in self._latencies.items():
            stats = decode_latency(value)
            if stats is not None:
                latency[name] = stats
        if latency != self._knowledge.latency:
            self._knowledge = replace(self._knowledge, latency=latency)

    def _read_lessons(self, get: Get, now_s: float) -> None:
        step_s = self._learning.evidence_half_life_s / _STEPS_PER_HALF_LIFE
        step = int(now_s / step_s)
        if not self._lessons.changed(get) and step == self._fading_step:
            return
        self._fading_step = step
        known = [
            (key, domain, learnt)
            for provider, value in self._lessons.items()
            for model, domain, learnt in lessons_of(value)
            if (key := f"{provider}/{model}") in self._keys
        ]
        expected_output = _expected_output(known)
        evidence = _evidence(known, step * step_s, self._learning.evidence_half_life_s)
        if expected_output != self._knowledge.expected_output:
            self._knowledge = replace(self._knowledge, expected_output=expected_output)
        if evidence != self._knowledge.evidence:
            self._knowledge = replace(self._knowledge, evidence=evidence)


class _Values:
    """The values of some keys as they were last seen, by the names they are about."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self._seen: dict[str, bytes] = {}

    def changed(self, get: Get) -> bool:
        """Ask for all values and tell whether any is another one now."""
        seen = {}
        for name, key in self._keys.items():
            value = get(key)
            if value is not None:
                seen[name] = value
        changed = seen != self._seen
        self._seen = seen
        return changed

    def items(self) -> Iterable[tuple[str, bytes]]:
        """Give the names with their values."""
        return self._seen.items()


def _expected_output(known: Iterable[tuple[str, str, Learnt]]) -> dict[str, dict[str, float]]:
    """Return mean lengths by domain and model, and, for models not learnt of yet, the mean of those means."""
    expected: dict[str, dict[str, float]] = {}
    sums: dict[str, tuple[float, int]] = {}
    for key, domain, learnt in known:
        if learnt.answers:
            expected.setdefault(domain, {})[key] = learnt.mean_tokens
            tokens, answers = sums.get(domain, (0.0, 0))
            sums[domain] = tokens + learnt.mean_tokens * learnt.answers, answers + learnt.answers
    for domain, (tokens, answers) in sums.items():
        expected[domain][ANY_MODEL] = tokens / answers
    return expected


def _evidence(
    known: Iterable[tuple[str, str, Learnt]], now_s: float, half_life_s: float
) -> dict[str, dict[str, Evidence]]:
    evidence: dict[str, dict[str, Evidence]] = {}
    for key, domain, learnt in known:
        if learnt.successes or learnt.failures:
            successes, failures = learnt.evidence_at(now_s, half_life_s)
            evidence.setdefault(domain, {})[key] = Evidence(successes, failures)
    return evidence
