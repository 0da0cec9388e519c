"""Who is where, by what a request says of itself."""

import pytest

from ai_provider_circuit_breaker.directory import MAX_FALLBACKS, Directory
from aigateway.catalog import DEFAULT_CATALOG
from aigateway.models import Catalog, Model, Prices

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


DIRECTORY = Directory(CATALOG, "provider")


def test_the_choice_is_what_the_headers_say() -> None:
    target = DIRECTORY.chosen("two", "meta/c")

    assert target is not None
    assert (target.provider, target.breaker_key, target.latency_key) == ("two", "breaker/two", "latency/two")
    assert target.model is CATALOG.find("meta/c")


def test_a_breaker_per_model_has_a_key_per_model() -> None:
    target = Directory(CATALOG, "model").chosen("one", "a")

    assert target is not None
    assert (target.breaker_key, target.latency_key) == ("breaker/one/a", "latency/one/a")


@pytest.mark.parametrize(
    ("provider", "name"), [(None, "a"), ("one", None), ("two", "a"), ("x", "y"), ("", "a"), ("one", "")]
)
def test_what_the_catalog_does_not_know_is_no_choice(provider: str | None, name: str | None) -> None:
    assert DIRECTORY.chosen(provider, name) is None


def test_who_is_at_a_cluster_is_known_by_the_catalog() -> None:
    known, unknown = DIRECTORY.at_cluster("outbound|443||one.dns"), DIRECTORY.at_cluster("else")

    assert known is not None
    assert unknown is not None
    assert (known.provider, known.breaker_key, known.model) == ("one", "breaker/one", None)
    assert (unknown.provider, unknown.breaker_key) == ("else", "breaker/else")
    assert DIRECTORY.at_cluster(None) is None
    assert DIRECTORY.at_cluster("") is None


def test_fallbacks_are_read_in_their_order_without_what_nobody_knows() -> None:
    found = DIRECTORY.fallbacks("two/meta/c, one/b,none/x,,one/a")

    assert [target.model.key for target in found if target.model] == ["two/meta/c", "one/b", "one/a"]
    assert DIRECTORY.fallbacks(None) == []
    assert DIRECTORY.fallbacks("") == []


def test_a_long_list_is_cut() -> None:
    assert len(DIRECTORY.fallbacks("one/a," * 100_000)) == MAX_FALLBACKS


def test_each_breaker_has_one_target() -> None:
    assert [target.breaker_key for target in DIRECTORY.all] == [
        "breaker/one",
        "breaker/two",
    ]
    assert len(Directory(DEFAULT_CATALOG, "model").all) == len(DEFAULT_CATALOG)
