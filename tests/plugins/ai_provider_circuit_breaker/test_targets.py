"""Who may get a request, and what is said when nobody may."""

import pytest

from ai_provider_circuit_breaker import Breaker, BreakerState, Ruling
from ai_provider_circuit_breaker.targets import (
    MAX_FALLBACKS,
    Denied,
    Target,
    all_providers,
    at_cluster,
    chosen,
    fallbacks,
    least_shut,
    refusal,
    wait_s,
)
from aigateway.catalog import DEFAULT_CATALOG
from aigateway.models import Catalog, Model, Prices

NOW = 1_790_000_000.0
PRICES = Prices(input=1, output=1, cached_input=1, cache_write=1)


def model(name: str, provider: str, cluster: str) -> Model:
    return Model(
        name=name,
        provider=provider,
        cluster=cluster,
        upstream_name=name,
        prices=PRICES,
        quality=0.5,
        context_window_tokens=1_000,
    )


CATALOG = Catalog(
    [
        model("a", "one", "outbound|443||one.dns"),
        model("b", "one", "outbound|443||one.dns"),
        model("meta/c", "two", "two"),
    ]
)


def denied(provider: str, state: BreakerState, retry_s: float) -> Denied:
    target = Target(provider=provider, breaker_key=provider, latency_key=provider)
    return Denied(target, Ruling(breaker=Breaker(state=state), retry_s=retry_s))


def test_the_choice_is_what_the_headers_say() -> None:
    target = chosen("two", "meta/c", CATALOG, "provider")

    assert target is not None
    assert (target.provider, target.breaker_key, target.latency_key) == ("two", "breaker/two", "latency/two")
    assert target.model is CATALOG.find("meta/c")


def test_a_breaker_per_model_has_a_key_per_model() -> None:
    target = chosen("one", "a", CATALOG, "model")

    assert target is not None
    assert (target.breaker_key, target.latency_key) == ("breaker/one/a", "latency/one/a")


@pytest.mark.parametrize(
    ("provider", "name"), [(None, "a"), ("one", None), ("two", "a"), ("x", "y"), ("", "a"), ("one", "")]
)
def test_what_the_catalog_does_not_know_is_no_choice(provider: str | None, name: str | None) -> None:
    assert chosen(provider, name, CATALOG, "provider") is None


def test_who_is_at_a_cluster_is_known_by_the_catalog() -> None:
    known, unknown = at_cluster("outbound|443||one.dns", CATALOG), at_cluster("else", CATALOG)

    assert known is not None
    assert unknown is not None
    assert (known.provider, known.breaker_key, known.model) == ("one", "breaker/one", None)
    assert (unknown.provider, unknown.breaker_key) == ("else", "breaker/else")
    assert at_cluster(None, CATALOG) is None
    assert at_cluster("", CATALOG) is None


def test_fallbacks_are_read_in_their_order_without_what_nobody_knows() -> None:
    found = fallbacks("two/meta/c, one/b,none/x,,one/a", CATALOG, "provider")

    assert [target.model.key for target in found if target.model] == ["two/meta/c", "one/b", "one/a"]
    assert fallbacks(None, CATALOG, "provider") == []
    assert fallbacks("", CATALOG, "provider") == []


def test_a_long_list_is_cut() -> None:
    assert len(fallbacks("one/a," * 100_000, CATALOG, "provider")) == MAX_FALLBACKS


def test_each_breaker_has_one_target() -> None:
    assert [target.breaker_key for target in all_providers(CATALOG, "provider")] == [
        "breaker/one",
        "breaker/two",
    ]
    assert len(list(all_providers(DEFAULT_CATALOG, "model"))) == len(DEFAULT_CATALOG)


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
