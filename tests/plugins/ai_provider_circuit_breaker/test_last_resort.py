"""Who gets a request that nobody may be tried for, and what is said instead."""

import pytest

from ai_provider_circuit_breaker import Breaker, BreakerState, Ruling
from ai_provider_circuit_breaker.directory import Target
from ai_provider_circuit_breaker.last_resort import Denied, least_shut, refusal, wait_s

NOW = 1_790_000_000.0


def denied(provider: str, state: BreakerState, retry_s: float) -> Denied:
    target = Target(
        provider=provider, label=provider, breaker_key=provider, latency_key=provider, name=provider
    )
    return Denied(target, Ruling(breaker=Breaker(state=state), retry_s=retry_s))


def test_the_least_shut_is_who_may_work_by_now() -> None:
    unauthorized = denied("a", BreakerState.UNAUTHORIZED, NOW + 1)
    limited = denied("b", BreakerState.RATE_LIMITED, NOW + 2)
    later = denied("c", BreakerState.OPEN, NOW + 9)
    sooner = denied("d", BreakerState.OPEN, NOW + 8)
    busy = denied("e", BreakerState.HALF_OPEN, NOW + 100)

    assert least_shut([unauthorized, limited, later, sooner]) is sooner
    assert least_shut([unauthorized, limited]) is limited
    assert least_shut([unauthorized, sooner, busy]) is busy


@pytest.mark.parametrize(("retry_s", "seconds"), [(NOW - 5, 1), (NOW, 1), (NOW + 1, 1), (NOW + 1.001, 2)])
def test_the_wait_is_of_whole_seconds_and_never_too_short(retry_s: float, seconds: int) -> None:
    others = denied("b", BreakerState.OPEN, NOW + 500)

    assert wait_s([others, denied("a", BreakerState.OPEN, retry_s)], NOW) == seconds


def test_a_refusal_says_who_is_how_and_when_to_come_again() -> None:
    refused = refusal(
        [
            denied("one", BreakerState.RATE_LIMITED, NOW + 20),
            denied("two", BreakerState.OPEN, NOW + 50),
            denied("one", BreakerState.RATE_LIMITED, NOW + 20),
        ],
        NOW,
    )

    assert refused.status == 503
    assert refused.message == (
        "No provider can take this request at present: one is rate-limited, two is open. Try again in 20 s."
    )
    assert refused.type == "server_error"
