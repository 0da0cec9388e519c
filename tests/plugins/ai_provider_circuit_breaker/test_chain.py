"""Who is tried after an attempt that failed, and when nobody is."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_provider_circuit_breaker import Breaker, BreakerState, Permit, Ruling
from ai_provider_circuit_breaker.chain import Chain, Stop, Trouble, choose, largest_cost, may_have_cost
from ai_provider_circuit_breaker.config import Bounds
from ai_provider_circuit_breaker.directory import Directory, Target
from aigateway.catalog import DEFAULT_CATALOG
from aigateway.models import Catalog, Prices

NOW = 1_790_000_000.0
DIRECTORY = Directory(DEFAULT_CATALOG, "provider")
TARGETS = [DIRECTORY.named(model.key) for model in DEFAULT_CATALOG]
GPT, SONNET, PRO = (
    DIRECTORY.named(name) for name in ("openai/gpt-5.5", "anthropic/claude-sonnet", "google/gemini-pro")
)
MINI = DIRECTORY.named("openai/gpt-4.1-mini")
SHUT = Ruling(breaker=Breaker(state=BreakerState.OPEN), retry_s=NOW + 5)


def yes(target: Target) -> Ruling:
    return Ruling(breaker=Breaker(), permit=Permit(7))


def chain_of(*candidates: Target, failed: Target = GPT, **more: object) -> Chain:
    chain = Chain(tried=(failed.name,), failed=failed, candidates=candidates, began_s=NOW)
    return replace(chain, **more)  # type: ignore[arg-type]


def chosen(chain: Chain, trouble: Trouble = Trouble.FAILED, bounds: Bounds | None = None) -> Target | None:
    return choose(chain, trouble, now_s=NOW, bounds=bounds or Bounds(), ask=yes).target


def test_the_first_fallback_is_next_and_brings_its_permit() -> None:
    choice = choose(chain_of(SONNET, PRO), Trouble.FAILED, now_s=NOW, bounds=Bounds(), ask=yes)

    assert (choice.target, choice.permit, choice.stop) == (SONNET, Permit(7), None)


def test_who_has_been_tried_is_not_tried_again() -> None:
    assert chosen(chain_of(GPT, SONNET, PRO, tried=(GPT.name, SONNET.name))) is PRO


def test_the_provider_that_has_failed_comes_last() -> None:
    assert chosen(chain_of(MINI, SONNET)) is SONNET
    assert chosen(chain_of(MINI)) is MINI


def test_whose_breaker_denies_is_passed_over() -> None:
    asked: list[str] = []

    def ask(target: Target) -> Ruling:
        asked.append(target.name)
        return SHUT if target is SONNET else yes(target)

    choice = choose(chain_of(SONNET, PRO), Trouble.FAILED, now_s=NOW, bounds=Bounds(), ask=ask)

    assert choice.target is PRO
    assert asked == [SONNET.name, PRO.name]


def test_when_all_deny_it_says_who() -> None:
    choice = choose(
        chain_of(SONNET, PRO), Trouble.FAILED, now_s=NOW, bounds=Bounds(), ask=lambda target: SHUT
    )

    assert choice.stop is Stop.NONE_LEFT
    assert [denied.target for denied in choice.denied] == [SONNET, PRO]


@pytest.mark.parametrize(("late_s", "stop"), [(29.9, None), (30, Stop.DEADLINE)])
def test_no_attempt_begins_past_the_deadline(late_s: float, stop: Stop | None) -> None:
    bounds = Bounds(deadline_s=30)

    choice = choose(chain_of(SONNET), Trouble.FAILED, now_s=NOW + late_s, bounds=bounds, ask=yes)

    assert choice.stop is stop


def test_who_is_too_dear_is_passed_over_for_who_is_not() -> None:
    dear, cheap = (largest_cost(target, 1000, None, Bounds()) for target in (SONNET, PRO))
    limit = max(dear, cheap) - 1
    expected = PRO if dear > cheap else SONNET

    assert chosen(chain_of(SONNET, PRO, prompt_tokens=1000), bounds=Bounds(limit_nano_usd=limit)) is expected


def test_what_was_spent_counts() -> None:
    limit = largest_cost(SONNET, 1000, 50, Bounds())
    bounds = Bounds(limit_nano_usd=limit)

    asked = chain_of(SONNET, prompt_tokens=1000, max_tokens=50)
    assert chosen(asked, bounds=bounds) is SONNET
    for dearer in ({"spent_nano_usd": 1}, {"max_tokens": 51}, {"max_tokens": None}, {"prompt_tokens": 1001}):
        chain = replace(asked, **dearer)
        assert choose(chain, Trouble.FAILED, now_s=NOW, bounds=bounds, ask=yes).stop is Stop.COST


@pytest.mark.parametrize(
    ("most", "max_tokens", "output_tokens"),
    [(64, None, 64), (64, 50, 50), (64, 70, 64), (None, 70, 70), (None, None, 4096)],
)
def test_an_answer_is_as_long_as_request_and_model_allow(
    most: int | None, max_tokens: int | None, output_tokens: int
) -> None:
    prices = Prices(input=3, output=7, cached_input=1, cache_write=4)
    assert GPT.model is not None
    target = replace(GPT, model=replace(GPT.model, prices=prices, max_output_tokens=most))

    cost = largest_cost(target, 10, max_tokens, Bounds(assumed_output_tokens=4096))

    assert cost == 10 * 4 + output_tokens * 7


@pytest.mark.parametrize(
    ("causes", "costs"),
    [
        (("status_503", "status_401", "connect_failure", "unreachable", "error_event"), False),
        (("timeout", "reset", "cut", "malformed"), True),
    ],
)
def test_what_was_never_answered_may_be_on_the_bill(causes: tuple[str, ...], costs: bool) -> None:
    assert {may_have_cost(cause) for cause in causes} == {costs}


def test_what_is_too_long_goes_to_a_larger_model_only() -> None:
    assert chosen(chain_of(MINI, PRO, SONNET, failed=SONNET), Trouble.TOO_LONG) is MINI
    assert chosen(chain_of(SONNET, failed=PRO), Trouble.TOO_LONG) is None


def test_where_the_model_is_not_known_nobody_is_larger() -> None:
    assert chosen(chain_of(PRO, failed=DIRECTORY.named("elsewhere")), Trouble.TOO_LONG) is None


@pytest.mark.parametrize(
    ("trouble", "bounds"),
    [
        (Trouble.TOO_LONG, Bounds(on_context_exceeded="stop")),
        (Trouble.FILTERED, Bounds(on_content_filter="stop")),
    ],
)
def test_configuration_may_want_nobody_asked(trouble: Trouble, bounds: Bounds) -> None:
    choice = choose(chain_of(MINI, PRO, failed=SONNET), trouble, now_s=NOW, bounds=bounds, ask=yes)

    assert choice.stop is Stop.NOT_WANTED


def test_what_was_filtered_goes_to_another_provider_if_anywhere() -> None:
    bounds = Bounds(on_content_filter="next")

    assert chosen(chain_of(MINI, PRO), Trouble.FILTERED, bounds) is PRO
    assert chosen(chain_of(MINI), Trouble.FILTERED, bounds) is None


@given(
    candidates=st.lists(st.sampled_from(TARGETS), max_size=8),
    first=st.sampled_from(TARGETS),
    troubles=st.lists(st.sampled_from(Trouble), min_size=12, max_size=12),
    shut=st.sets(st.sampled_from(TARGETS), max_size=4),
    pause_s=st.floats(0, 20),
    deadline_s=st.sampled_from([0.0, 10.0, 60.0]),
    limit=st.sampled_from([0, 10_000_000, 1_000_000_000]),
    prompt_tokens=st.integers(0, 10_000),
    max_tokens=st.none() | st.integers(1, 2_000),
    filtered=st.sampled_from(["stop", "next"]),
)
def test_whatever_happens_the_law_holds(
    *,
    candidates: list[Target],
    first: Target,
    troubles: list[Trouble],
    shut: set[Target],
    pause_s: float,
    deadline_s: float,
    limit: int,
    prompt_tokens: int,
    max_tokens: int | None,
    filtered: str,
) -> None:
    """Go through a whole chain in which every attempt fails, with costs that are charged each time."""
    bounds = Bounds(deadline_s=deadline_s, limit_nano_usd=limit, on_content_filter=filtered)  # type: ignore[arg-type]
    given_out: list[str] = []

    def ask(target: Target) -> Ruling:
        if target in shut:
            return SHUT
        given_out.append(target.name)
        return yes(target)

    tried, failed, spent, now = [first.name], first, 0, NOW
    for trouble in troubles:
        now += pause_s
        spent += largest_cost(failed, prompt_tokens, max_tokens, bounds)
        chain = Chain(
            tried=tuple(tried),
            failed=failed,
            candidates=candidates,
            began_s=NOW,
            spent_nano_usd=spent,
            prompt_tokens=prompt_tokens,
            max_tokens=max_tokens,
        )
        choice = choose(chain, trouble, now_s=now, bounds=bounds, ask=ask)
        target = choice.target
        if target is None:
            assert choice.stop is not None
            break
        assert target in candidates
        assert target.name not in tried
        assert target not in shut
        assert not deadline_s or now < NOW + deadline_s
        assert not limit or spent + largest_cost(target, prompt_tokens, max_tokens, bounds) <= limit
        if trouble is Trouble.TOO_LONG:
            assert target.model is not None
            assert failed.model is not None
            assert target.model.context_window_tokens > failed.model.context_window_tokens
        if trouble is Trouble.FILTERED:
            assert target.provider != failed.provider
        tried.append(target.name)
        failed = target
    assert given_out == tried[1:], "every permit that was given out is used"
    assert len(tried) <= len({target.name for target in candidates} | {first.name})


def test_models_without_a_catalog_cost_nothing() -> None:
    unknown = Directory(Catalog([]), "provider").named("somebody")

    assert largest_cost(unknown, 10_000, None, Bounds()) == 0
