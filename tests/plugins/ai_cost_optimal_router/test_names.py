"""What a request asks for by its `model`, and what becomes of it."""

from typing import Any

import pytest

from ai_cost_optimal_router import Knowledge

from .models import NOW_S, a_model, a_router, choose, names, refusal


@pytest.mark.parametrize("asked", [None, "auto"])
def test_auto_leaves_the_choice_to_the_router(asked: str | None) -> None:
    choice = choose(a_router(), requested_model=asked)

    assert (choice.strategy, choice.model.name) == ("cost_optimal", "gpt-4.1-mini")


def test_other_names_can_mean_auto() -> None:
    router = a_router(auto_models=["any", "router"])

    assert choose(router, requested_model="router").strategy == "cost_optimal"
    assert refusal(router, requested_model="auto").code == "model_not_found"


@pytest.mark.parametrize("asked", ["gemini-pro", "google/gemini-pro"])
def test_an_explicit_model_is_honoured_and_stands_alone(asked: str) -> None:
    # It is no realtime model and below the floor: whoever asks for it knows.
    choice = choose(a_router(quality_floor=0.99), requested_model=asked, strategy="tiered")

    assert names(choice) == ["gemini-pro"]
    assert choice.strategy == "explicit"
    assert choice.reason == "explicit: gemini-pro requested of 1"


def test_an_explicit_model_must_still_be_possible() -> None:
    closed = Knowledge(closed={"openai": NOW_S + 30})

    assert refusal(a_router(), closed, requested_model="gpt-5.5").status == 503
    assert refusal(a_router(deny=["gpt-5.5"]), requested_model="gpt-5.5").status == 403
    assert refusal(a_router(), requested_model="gpt-5.5", budget_nano_usd=5).status == 429
    assert refusal(a_router(), requested_model="kimi", prompt_tokens=300_000).status == 400


def test_an_explicit_model_can_be_overridden() -> None:
    choice = choose(a_router(on_explicit_model="override"), requested_model="gpt-5.5")

    assert (choice.strategy, choice.model.name) == ("cost_optimal", "gpt-4.1-mini")


@pytest.mark.parametrize("asked", ["gpt-5.5", "openai/*"])
def test_an_explicit_model_can_be_refused(asked: str) -> None:
    router = a_router(on_explicit_model="refuse", aliases={"best": "gpt-5.5"})
    told = refusal(router, requested_model=asked)

    assert (told.status, told.code, told.param) == (400, "model_not_selectable", "model")
    assert told.message == "model: this gateway chooses the model itself; send one of: auto, best"
    assert choose(router, requested_model="best").model.name == "gpt-5.5"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("openai/*", ["gpt-4.1-mini", "gpt-5.5"]),
        ("claude-*", ["claude-haiku", "claude-sonnet"]),
        ("*", ["gpt-4.1-mini", "kimi", "claude-haiku", "gemini-flash"]),
        ("*o*e/gemini-*", ["gemini-flash"]),
    ],
)
def test_wildcards_leave_the_choice_among_those_that_fit(asked: str, expected: list[str]) -> None:
    choice = choose(a_router(), requested_model=asked)

    assert choice.strategy == "cost_optimal"
    assert names(choice) == expected


def test_a_model_that_a_wildcard_finds_must_be_good_enough() -> None:
    told = choose(a_router(), requested_model="gemini-p*")

    # The only one it finds is not for realtime, which is given up, as for any other request.
    assert told.reason == "best_quality: gemini-pro best quality of 1; gave up latency: 1"


@pytest.mark.parametrize(
    ("aliases", "asked", "expected"),
    [
        ({"smart": "claude-sonnet"}, "smart", ("explicit", ["claude-sonnet"])),
        ({"smart": "google/gemini-pro"}, "smart", ("explicit", ["gemini-pro"])),
        ({"kimi": "gpt-5.5"}, "kimi", ("explicit", ["gpt-5.5"])),
        ({"gpt-4*": "gpt-4.1-mini"}, "gpt-4o-2024-08-06", ("explicit", ["gpt-4.1-mini"])),
        ({"*-mini": "kimi"}, "gpt-4.1-mini", ("explicit", ["gpt-4.1-mini"])),
        ({"two": ["gpt-5.5", "kimi"]}, "two", ("cost_optimal", ["kimi", "gpt-5.5"])),
        ({"all": ["openai/*"]}, "all", ("cost_optimal", ["gpt-4.1-mini", "gpt-5.5"])),
        (
            {"good": {"models": ["gpt-5.5", "kimi"], "strategy": "quality_first"}},
            "good",
            ("quality_first", ["gpt-5.5", "kimi"]),
        ),
        ({"*/best": {"models": ["gpt-5.5"]}}, "any/thing/best", ("explicit", ["gpt-5.5"])),
    ],
)
def test_aliases(aliases: dict[str, Any], asked: str, expected: tuple[str, list[str]]) -> None:
    choice = choose(a_router(aliases=aliases), requested_model=asked)

    assert (choice.strategy, names(choice)) == expected


def test_who_asks_with_a_strategy_gets_it_before_the_alias() -> None:
    router = a_router(
        aliases={"good": {"models": ["*"], "strategy": "quality_first"}},
        consumers={"alice": {"strategy": "tiered"}},
        strategy="balanced",
    )

    def by(**situation: Any) -> str:
        return choose(router, consumer="alice", **situation).strategy

    assert by(requested_model="good", strategy="cost_optimal") == "cost_optimal"
    assert by(requested_model="good") == "quality_first"
    assert by() == "tiered"
    assert choose(router).strategy == "balanced"


def test_only_allowed_strategies_can_be_asked_for() -> None:
    router = a_router(allowed_strategies=["cost_optimal", "balanced"], strategy="tiered")

    told = refusal(router, strategy="tiered")

    assert (told.status, told.code, told.param) == (400, "unknown_strategy", "x-router-strategy")
    assert told.message == "x-router-strategy: expected one of cost_optimal, balanced; got 'tiered'"
    assert choose(router, strategy="balanced").strategy == "balanced"
    assert choose(router).strategy == "tiered"
    assert "none may be asked for" in refusal(a_router(allowed_strategies=[]), strategy="x").message


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("gpt-5", "; near it are gpt-5.5"),
        ("claude-sonet", "; near it are claude-sonnet, claude-haiku"),
        ("openai/gpt-41-mini", "; near it are gpt-4.1-mini"),
        ("GEMINI-FLASH", "; near it are gemini-flash, gemini-pro"),
        ("llama", ""),
        ("", ""),
    ],
)
def test_an_unknown_model_is_refused_with_names_that_are_near(asked: str, near: str) -> None:
    told = refusal(a_router(), requested_model=asked)

    assert (told.status, told.code, told.param) == (404, "model_not_found", "model")
    assert told.message == f"model: expected 'auto' or a model of the catalog, got {asked!r}{near}"


def test_a_name_of_any_length_makes_a_short_message() -> None:
    assert len(refusal(a_router(), requested_model="*x" * 100_000).message) < 250
    assert len(refusal(a_router(), requested_model="gpt-" * 100_000).message) < 250


def test_an_unknown_model_can_be_taken_for_auto() -> None:
    choice = choose(a_router(on_unknown_model="route"), requested_model="whatever")

    assert (choice.strategy, choice.model.name) == ("cost_optimal", "gpt-4.1-mini")


def test_many_names_are_not_all_remembered() -> None:
    router = a_router(aliases={"a*": "kimi"})
    for number in range(3_000):
        assert choose(router, requested_model=f"a{number}").model.name == "kimi"

    assert len(router._names._remembered) <= 1_024
    assert len(router._market._matching) <= 1_024


def test_near_names_are_found_among_a_thousand() -> None:
    router = a_router(*[a_model(f"model-{number}-{number % 7}") for number in range(1_000)])

    assert "near it are model-512-1" in refusal(router, requested_model="model-512").message
