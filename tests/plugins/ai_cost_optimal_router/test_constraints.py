"""Every constraint excludes, says so in the reason, and says so to the caller when nothing is left."""

from typing import Any

import pytest

from ai_cost_optimal_router import Knowledge
from aigateway.catalog import Catalog
from aigateway.chat import Format, Need

from .models import NOW_S, a_model, a_router, choose, names, refusal, refused

VISION = frozenset({Need.VISION})
DOWN = Knowledge(closed={"openai": NOW_S + 30})


@pytest.mark.parametrize(
    ("settings", "situation", "expected"),
    [
        ({"deny": ["openai/*"]}, {}, "kimi cheapest of 4; excluded denied: 2, latency: 1"),
        ({"allow": ["claude*"]}, {}, "claude-haiku cheapest of 2; excluded denied: 5"),
        ({"regions": ["asia"]}, {}, "kimi cheapest of 2; excluded region: 4, latency: 1"),
        (
            {},
            {"format": Format.ANTHROPIC},
            "claude-haiku cheapest of 2; excluded format: 5",
        ),
        ({}, {"needs": VISION}, "gpt-4.1-mini cheapest of 5; excluded vision: 1, latency: 1"),
        (
            {},
            {"needs": frozenset({Need.AUDIO}), "latency": "batch"},
            "gemini-flash cheapest of 2; excluded audio: 5",
        ),
        ({}, {"max_tokens": 64_000}, "claude-haiku cheapest of 4; excluded output: 2, latency: 1"),
        ({}, {"prompt_tokens": 250_000}, "gpt-4.1-mini cheapest of 4; excluded window: 2, latency: 1"),
        ({}, {"domain": "medical"}, "claude-sonnet cheapest of 2; excluded domain: 4, latency: 1"),
        ({"quality_floor": 0.83}, {}, "gpt-4.1-mini cheapest of 3; excluded quality<0.83: 3, latency: 1"),
        ({}, {"tier": "strong"}, "claude-sonnet cheapest of 2; excluded latency: 1, tier: 4"),
        ({}, {"latency": "realtime"}, "gpt-4.1-mini cheapest of 6; excluded latency: 1"),
        ({}, {"latency": "batch"}, "gpt-4.1-mini cheapest of 7"),
        ({"max_cost_usd": 0.001}, {}, "gpt-4.1-mini cheapest of 2; excluded latency: 1, cost: 4"),
        (
            {},
            {"budget_nano_usd": 3_000_000},
            "gpt-4.1-mini cheapest of 2; excluded latency: 1, budget: 4",
        ),
    ],
)
def test_what_excludes_is_in_the_reason(
    settings: dict[str, Any], situation: dict[str, Any], expected: str
) -> None:
    choice = choose(a_router(**settings), **situation)

    assert choice.reason == f"cost_optimal: {expected}"


def test_an_open_breaker_excludes_until_its_time_has_come() -> None:
    router = a_router()

    assert choose(router, DOWN).reason == "cost_optimal: kimi cheapest of 4; excluded breaker: 2, latency: 1"
    assert choose(router, DOWN, now_s=NOW_S + 29.9).model.name == "kimi"
    assert choose(router, DOWN, now_s=NOW_S + 30).model.name == "gpt-4.1-mini"
    # A clock that steps back does not open it again.
    assert choose(router, DOWN, now_s=NOW_S - 5).model.name == "kimi"


def test_a_breaker_can_be_of_one_model() -> None:
    closed = Knowledge(closed={"openai/gpt-4.1-mini": NOW_S + 30})

    choice = choose(a_router(), closed)

    assert choice.model.name == "kimi"
    assert choice.reason.endswith("excluded breaker: 1, latency: 1")


def test_breakers_of_several_end_at_their_own_times() -> None:
    closed = Knowledge(closed={"openai": NOW_S + 30, "moonshot": NOW_S + 10})
    router = a_router()

    assert choose(router, closed).model.name == "claude-haiku"
    assert choose(router, closed, now_s=NOW_S + 10).model.name == "kimi"
    assert choose(router, closed, now_s=NOW_S + 30).model.name == "gpt-4.1-mini"


def test_the_window_holds_prompt_and_requested_output_to_the_token() -> None:
    router = a_router(
        a_model("small", context_window_tokens=1_000, input=1),
        a_model("large", context_window_tokens=100_000, input=9),
    )

    assert choose(router, prompt_tokens=900, max_tokens=100).model.name == "small"
    assert choose(router, prompt_tokens=901, max_tokens=100).model.name == "large"


def test_a_request_without_a_limit_is_given_room_for_an_answer() -> None:
    models = (
        a_model("small", context_window_tokens=1_000, input=1),
        a_model("large", context_window_tokens=100_000, input=9),
    )

    assert choose(a_router(*models, unset_output_tokens=100), prompt_tokens=900).model.name == "small"
    assert choose(a_router(*models, unset_output_tokens=101), prompt_tokens=900).model.name == "large"


def test_a_margin_makes_the_prompt_longer() -> None:
    models = (
        a_model("small", context_window_tokens=1_000, input=1),
        a_model("large", context_window_tokens=100_000, input=9),
    )

    router = a_router(*models, prompt_margin=0.1)

    assert choose(router, prompt_tokens=818, max_tokens=100).model.name == "small"
    assert choose(router, prompt_tokens=819, max_tokens=100).model.name == "large"


def test_a_model_is_not_asked_for_more_than_it_can_give() -> None:
    router = a_router(
        a_model("brief", max_output_tokens=500, input=1), a_model("endless", max_output_tokens=None, input=9)
    )

    assert choose(router, max_tokens=500).model.name == "brief"
    assert choose(router, max_tokens=501).model.name == "endless"
    assert choose(router).model.name == "brief"


def test_the_maximum_cost_is_held_against_the_estimate() -> None:
    router = a_router(
        a_model("m", input=100, output=400),
        a_model("n", input=101, output=400),
        strategy="quality_first",
        max_cost_usd=0.00026,
        expected_output_tokens={"otherwise": 400},
    )

    choice = choose(router, prompt_tokens=1_000, max_tokens=100_000 - 1_000)

    assert choice.reason.endswith("m best quality of 1; excluded cost: 1")
    assert choice.estimated_cost_nano_usd == 260_000


def test_a_budget_is_held_against_what_the_request_can_cost_at_most() -> None:
    prices = {"input": 100, "output": 400, "cached_input": 10, "cache_write": 200}
    entry = {"provider": "p", "quality": 0.9, "context_window_tokens": 10**6}
    router = a_router(
        catalog=[{"name": "m", "prices_nano_usd_per_token": prices, "max_output_tokens": 5_000, **entry}],
        unset_output_tokens=2_000,
        budget_margin=0.25,
    )
    # The prompt may be a quarter longer, and be written into the cache: 1,250 tokens at 200.
    prompt = 1_250 * 200

    for max_tokens, most in ((None, 2_000), (100, 100), (5_000, 5_000)):
        enough = prompt + most * 400
        spending: dict[str, Any] = {"prompt_tokens": 1_000, "max_tokens": max_tokens}
        assert choose(router, budget_nano_usd=enough, **spending).model.name == "m"
        assert refusal(router, budget_nano_usd=enough - 1, **spending).code == "budget_exceeded"


def test_who_has_little_left_gets_a_cheaper_model() -> None:
    router = a_router(strategy="quality_first")

    def chosen(budget_nano_usd: int) -> str:
        return choose(router, latency="batch", budget_nano_usd=budget_nano_usd).model.name

    assert chosen(20_000_000) == "claude-sonnet"
    assert chosen(12_000_000) == "gemini-pro"
    assert chosen(1_000_000) == "gpt-4.1-mini"


@pytest.mark.parametrize(
    ("consumer", "domain", "expected"),
    [(None, "general", 0.72), (None, "code", 0.9), ("alice", "general", 0.5), ("alice", "code", 0.5)],
)
def test_floors_of_consumers_go_before_those_of_domains(
    consumer: str | None, domain: str, expected: float
) -> None:
    models = [
        a_model(f"q{quality}", quality=quality, input=int(quality * 100)) for quality in (0.4, 0.5, 0.72, 0.9)
    ]
    router = a_router(*models, quality_floors={"code": 0.9}, consumers={"alice": {"quality_floor": 0.5}})

    assert choose(router, consumer=consumer, domain=domain).model.quality == expected


def test_a_consumer_has_what_everyone_has_but_for_what_is_its_own() -> None:
    router = a_router(
        deny=["openai/*"],
        regions=["asia"],
        consumers={
            "alice": {"deny": ["moonshot/*"], "strategy": "quality_first"},
            "bob": {"regions": ["us"], "max_cost_usd": 0.002},
        },
    )

    assert (
        choose(router).reason == "cost_optimal: kimi cheapest of 2; excluded denied: 2, region: 2, latency: 1"
    )
    assert choose(router, consumer="nobody").model.name == "kimi"
    alice = choose(router, consumer="alice")
    assert alice.reason == (
        "quality_first otherwise: gemini-flash best quality of 1; excluded denied: 1, region: 4, latency: 1"
    )
    bob = choose(router, consumer="bob")
    assert bob.reason == (
        "cost_optimal: claude-haiku cheapest of 1; excluded denied: 2, region: 1, latency: 1, cost: 2"
    )


def test_the_tier_can_be_left_to_others() -> None:
    assert choose(a_router(require_tier=False), tier="strong").model.name == "gpt-4.1-mini"


def test_a_tier_that_the_catalog_does_not_know_asks_for_nothing() -> None:
    assert choose(a_router(), tier="huge").model.name == "gpt-4.1-mini"


def test_when_nothing_is_good_enough_the_best_is_taken() -> None:
    choice = choose(a_router(quality_floor=0.99), domain="medical")

    assert choice.strategy == "best_quality"
    assert choice.reason == "best_quality: claude-sonnet best quality of 7; gave up quality<0.99: 7"
    assert names(choice) == ["claude-sonnet", "gpt-5.5", "gemini-pro", "kimi"]


def test_what_is_hard_is_never_given_up() -> None:
    choice = choose(
        a_router(quality_floor=0.99, deny=["anthropic/*"]), DOWN, needs=VISION, budget_nano_usd=10_000_000
    )

    assert choice.reason == (
        "best_quality: gemini-flash best quality of 1; "
        "excluded denied: 2, vision: 1, breaker: 2, budget: 1; gave up quality<0.99: 2"
    )


@pytest.mark.parametrize(
    ("settings", "situation", "status", "code", "words"),
    [
        ({"allow": ["kimi"]}, {"requested_model": "gpt-5.5"}, 403, "model_not_allowed", "1 not allowed"),
        (
            {"regions": ["asia"], "deny": ["gemini-*", "kimi"]},
            {},
            403,
            "model_not_allowed",
            "4 outside the permitted regions",
        ),
        ({"allow": ["kimi"]}, {"format": Format.ANTHROPIC}, 400, "unsupported_api", "1 not reachable"),
        ({"allow": ["kimi"]}, {"needs": VISION}, 400, "unsupported_input", "1 unable to see images"),
        ({}, {"max_tokens": 200_000}, 400, "max_tokens_exceeded", "7 unable to give so many"),
        (
            {},
            {"prompt_tokens": 2_000_000},
            400,
            "context_length_exceeded",
            "7 with a context window too small",
        ),
        ({"max_cost_usd": 1e-9}, {}, 400, "max_cost_exceeded", "above the maximum cost"),
        ({}, {"budget_nano_usd": 0}, 429, "budget_exceeded", "7 beyond the remaining budget"),
    ],
)
def test_when_nothing_is_possible_the_caller_is_told_why(
    settings: dict[str, Any], situation: dict[str, Any], status: int, code: str, words: str
) -> None:
    told = refusal(a_router(quality_floor=0.0, **settings), **{"latency": "batch", **situation})

    assert (told.status, told.code) == (status, code)
    assert words in told.message
    assert told.message.startswith("No model can answer this request. Excluded: ")


@pytest.mark.parametrize(
    ("settings", "situation", "words"),
    [
        ({"quality_floor": 0.99}, {}, "7 below the quality floor"),
        (
            {"allow": ["kimi"]},
            {"domain": "legal"},
            "6 not allowed for this consumer, 1 not meant for this subject",
        ),
        ({"allow": ["gemini-pro"]}, {}, "1 too slow to be waited for"),
        ({"allow": ["kimi"]}, {"tier": "strong"}, "1 of another tier"),
    ],
)
def test_soft_constraints_can_refuse_too(
    settings: dict[str, Any], situation: dict[str, Any], words: str
) -> None:
    told = refusal(a_router(on_infeasible="refuse", **settings), **situation)

    assert (told.status, told.type, told.code) == (503, "server_error", "no_suitable_model")
    assert words in told.message


def test_when_all_providers_fail_the_caller_is_told_when_to_come_back() -> None:
    closed = {"openai": NOW_S + 30, "anthropic": NOW_S + 7.2, "google": NOW_S + 60, "moonshot": NOW_S + 99}

    error = refused(a_router(), Knowledge(closed=closed))

    assert (error.refusal.status, error.refusal.code) == (503, "provider_unavailable")
    assert error.retry_after_s == 8
    # For a certain model, it is that model's provider that counts.
    assert refused(a_router(), Knowledge(closed=closed), requested_model="kimi").retry_after_s == 99
    assert refused(a_router(), Knowledge(closed=closed), prompt_tokens=10**7).retry_after_s is None


def test_each_model_counts_for_the_first_constraint_that_excludes_it() -> None:
    told = refusal(a_router(deny=["openai/*"]), DOWN, needs=VISION, prompt_tokens=2_000_000)

    assert told.message.endswith(
        "2 not allowed for this consumer, 1 unable to see images, "
        "4 with a context window too small for this request"
    )


def test_a_catalog_without_news_of_formats_takes_all() -> None:
    router = a_router(*Catalog([a_model("m")]))

    assert all(choose(router, format=format).model.name == "m" for format in Format)
