"""What each request and each outcome makes of a breaker."""

import dataclasses
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_provider_circuit_breaker import (
    Breaker,
    BreakerState,
    Event,
    Kind,
    Permit,
    Ruling,
    Settings,
    Signal,
    Transition,
    admit,
    claim_check,
    health,
    settle,
)

NOW = 1_790_000_000.0
SETTINGS = Settings()
PLAIN = Settings(failure_rate=0.0, jitter=0.0)
"""Failures in a row alone, and no jitter."""

SUCCESS = Event(Kind.SUCCESS)
SLOW = Event(Kind.SLOW)
FAILURE = Event(Kind.FAILURE, "timeout")
LIMITED = Event(Kind.RATE_LIMITED)
REFUSED = Event(Kind.UNAUTHORIZED)
IGNORED = Event(Kind.NOT_COUNTED)


def told(
    breaker: Breaker,
    events: Iterable[Event],
    *,
    now_s: float = NOW,
    draw: float = 0.0,
    settings: Settings = PLAIN,
) -> Ruling:
    """Settle *events* of requests sent under the present state, and give the last ruling."""
    ruling = Ruling(breaker=breaker)
    for event in events:
        permit = Permit(ruling.breaker.generation)
        ruling = settle(ruling.breaker, permit, event, now_s=now_s, draw=draw, settings=settings)
    return ruling


def opened(now_s: float = NOW, settings: Settings = PLAIN) -> Breaker:
    return told(Breaker(), [FAILURE] * 3, now_s=now_s, settings=settings).breaker


def half_opened(now_s: float = NOW + 60, settings: Settings = PLAIN) -> Breaker:
    """Let the deadline pass and the first probe be sent."""
    return admit(opened(settings=settings), now_s, settings).breaker


# Closed


def test_a_closed_breaker_admits_and_is_not_changed_by_it() -> None:
    breaker = Breaker()

    ruling = admit(breaker, NOW, PLAIN)

    assert ruling.permit == Permit(0)
    assert ruling.breaker is breaker


def test_three_failures_in_a_row_open_it_for_sixty_seconds() -> None:
    ruling = told(Breaker(), [FAILURE, FAILURE])
    assert ruling.breaker.state is BreakerState.CLOSED

    ruling = told(ruling.breaker, [FAILURE])

    assert ruling.transition == Transition(
        before=BreakerState.CLOSED, after=BreakerState.OPEN, signal=Signal.TRIPPED, until_s=NOW + 60
    )
    assert ruling.breaker.until_s == NOW + 60
    assert health(ruling.breaker, PLAIN).until_s == NOW + 60


@pytest.mark.parametrize("between", [SUCCESS, SLOW])
def test_an_answer_in_between_begins_the_row_anew(between: Event) -> None:
    assert told(Breaker(), [FAILURE, FAILURE, between, FAILURE, FAILURE]).breaker.state is BreakerState.CLOSED


def test_what_is_not_counted_changes_nothing_at_all() -> None:
    breaker = told(Breaker(), [FAILURE, FAILURE]).breaker

    ruling = told(breaker, [IGNORED] * 10)

    assert ruling.breaker is breaker
    assert told(breaker, [IGNORED, FAILURE]).breaker.state is BreakerState.OPEN


def test_success_after_success_is_not_written_when_nothing_is_counted() -> None:
    breaker = Breaker()

    assert told(breaker, [SUCCESS] * 3).breaker is breaker


def test_half_of_the_calls_failing_opens_it_from_the_twentieth_on() -> None:
    settings = Settings(failures=1_000, window_requests=20, failure_rate=0.5)
    breaker = told(Breaker(), [FAILURE, SUCCESS] * 9 + [SUCCESS], settings=settings).breaker
    assert breaker.state is BreakerState.CLOSED

    # The twentieth call makes it ten failures of twenty.
    assert told(breaker, [FAILURE], settings=settings).breaker.state is BreakerState.OPEN


def test_failures_that_have_left_the_window_are_forgotten() -> None:
    settings = Settings(failures=1_000, window_requests=20, window_s=60)
    breaker = told(Breaker(), [FAILURE] * 19, settings=settings).breaker

    later = told(breaker, [FAILURE] * 19, now_s=NOW + 60, settings=settings)

    assert later.breaker.state is BreakerState.CLOSED


def test_slow_calls_open_it_if_so_configured() -> None:
    settings = Settings(window_requests=10, slow_rate=0.8)

    assert told(Breaker(), [SLOW] * 7 + [SUCCESS] * 2, settings=settings).breaker.state is BreakerState.CLOSED
    mixed = [SUCCESS] * 2 + [SLOW] * 8
    assert told(Breaker(), mixed, settings=settings).breaker.state is BreakerState.OPEN
    assert told(Breaker(), mixed, settings=SETTINGS).breaker.state is BreakerState.CLOSED


def test_a_share_that_is_not_configured_opens_nothing() -> None:
    settings = Settings(failures=1_000, window_requests=10, failure_rate=0, slow_rate=0.9)

    assert told(Breaker(), [FAILURE] * 100, settings=settings).breaker.state is BreakerState.CLOSED


# Open


def test_an_open_breaker_says_when_to_ask_again() -> None:
    ruling = admit(opened(), NOW + 59.9, PLAIN)

    assert ruling.permit is None
    assert ruling.retry_s == NOW + 60


def test_jitter_makes_it_later_and_never_earlier() -> None:
    settings = Settings(jitter=0.1)

    assert told(Breaker(), [FAILURE] * 3, settings=settings, draw=0.0).breaker.until_s == NOW + 60
    assert told(Breaker(), [FAILURE] * 3, settings=settings, draw=0.5).breaker.until_s == NOW + 63


def test_it_stays_open_longer_each_time_up_to_a_limit() -> None:
    now_s, breaker, lengths = NOW, Breaker(), []
    for _ in range(6):
        breaker = told(breaker, [FAILURE] * 3, now_s=now_s).breaker
        lengths.append(breaker.until_s - now_s)
        now_s = breaker.until_s
        for _ in range(2):
            ruling = admit(breaker, now_s, PLAIN)
            assert ruling.permit is not None
            breaker = settle(
                ruling.breaker, ruling.permit, SUCCESS, now_s=now_s, draw=0.0, settings=PLAIN
            ).breaker
        assert breaker.state is BreakerState.CLOSED
        now_s += 5

    assert lengths == [60, 120, 240, 480, 600, 600]


def test_a_long_time_without_trouble_makes_the_next_opening_the_first() -> None:
    breaker = told(half_opened(), [SUCCESS, SUCCESS], now_s=NOW + 61).breaker
    assert breaker.state is BreakerState.CLOSED

    again_soon = told(breaker, [FAILURE] * 3, now_s=NOW + 661).breaker
    again_late = told(breaker, [FAILURE] * 3, now_s=NOW + 662).breaker

    assert again_soon.until_s == NOW + 661 + 120
    assert again_late.until_s == NOW + 662 + 60


def test_a_limit_in_between_does_not_make_the_last_closing_later() -> None:
    breaker = told(half_opened(), [SUCCESS, SUCCESS], now_s=NOW + 61).breaker
    limited = told(breaker, [LIMITED], now_s=NOW + 600).breaker
    freed = admit(limited, NOW + 630, PLAIN).breaker

    assert told(freed, [FAILURE] * 3, now_s=NOW + 700).breaker.until_s == NOW + 700 + 60


def test_retry_after_wins_over_a_shorter_deadline_of_ours_and_not_over_a_longer() -> None:
    long, short = Event(Kind.FAILURE, "status_503", 300.0), Event(Kind.FAILURE, "status_503", 5.0)

    assert told(Breaker(), [FAILURE, FAILURE, long]).breaker.until_s == NOW + 300
    assert told(Breaker(), [FAILURE, FAILURE, short]).breaker.until_s == NOW + 60


def test_retry_after_of_an_earlier_failure_is_remembered() -> None:
    long = Event(Kind.FAILURE, "status_503", 300.0)

    assert told(Breaker(), [long, FAILURE, FAILURE]).breaker.until_s == NOW + 300
    assert told(Breaker(), [long, SUCCESS, FAILURE, FAILURE, FAILURE]).breaker.until_s == NOW + 60


def test_retry_after_that_comes_late_still_moves_the_deadline() -> None:
    late = Event(Kind.FAILURE, "status_503", 300.0)

    ruling = settle(opened(), Permit(0), late, now_s=NOW + 1, draw=0.0, settings=PLAIN)

    assert ruling.transition is None
    assert ruling.breaker.until_s == NOW + 301


def test_retry_after_has_a_limit() -> None:
    forever = Event(Kind.RATE_LIMITED, "status_429", 1e12)

    assert told(Breaker(), [forever]).breaker.until_s == NOW + PLAIN.retry_after_limit_s


def test_other_late_outcomes_change_nothing() -> None:
    breaker = opened()
    for event in (SUCCESS, SLOW, FAILURE, IGNORED):
        ruling = settle(breaker, Permit(0), event, now_s=NOW + 1, draw=0.0, settings=PLAIN)
        assert ruling.breaker is breaker


def test_an_answer_to_what_was_sent_while_it_was_open_makes_room_for_probes() -> None:
    ruling = told(opened(), [SUCCESS], now_s=NOW + 1)

    assert ruling.transition is not None
    assert ruling.transition.signal is Signal.ANSWERED
    assert ruling.breaker.state is BreakerState.HALF_OPEN
    assert ruling.breaker.successes == 0


def test_unless_the_provider_itself_has_asked_to_wait() -> None:
    long = Event(Kind.FAILURE, "status_503", 300.0)
    breaker = told(Breaker(), [FAILURE, FAILURE, long]).breaker

    assert told(breaker, [SUCCESS], now_s=NOW + 299).breaker is breaker
    assert told(breaker, [SUCCESS], now_s=NOW + 300).breaker.state is BreakerState.HALF_OPEN


# Half-open


def test_half_open_admits_as_many_as_are_allowed_at_a_time() -> None:
    first = admit(opened(), NOW + 60, PLAIN)
    second = admit(first.breaker, NOW + 60, PLAIN)
    third = admit(second.breaker, NOW + 60, PLAIN)

    assert first.transition is not None
    assert first.transition.after is BreakerState.HALF_OPEN
    assert second.transition is None
    assert first.permit is not None
    assert second.permit is not None
    assert first.permit.probe != second.permit.probe
    assert third.permit is None
    assert third.retry_s == NOW + 61
    assert third.breaker is second.breaker
    assert health(third.breaker, PLAIN).until_s == NOW + 120


def test_two_answered_probes_close_it() -> None:
    ruling = told(half_opened(), [SUCCESS], now_s=NOW + 61)
    assert ruling.transition is None

    ruling = told(ruling.breaker, [SUCCESS], now_s=NOW + 62)

    assert ruling.transition is not None
    assert ruling.transition.signal is Signal.RECOVERED
    assert ruling.breaker.state is BreakerState.CLOSED
    assert ruling.breaker.closed_s == NOW + 62


def test_a_probe_that_says_nothing_is_no_answer() -> None:
    assert told(half_opened(), [IGNORED, IGNORED, SUCCESS]).breaker.state is BreakerState.HALF_OPEN


def test_one_failed_probe_opens_it_for_longer() -> None:
    ruling = told(half_opened(), [SUCCESS, FAILURE], now_s=NOW + 61)

    assert ruling.breaker.state is BreakerState.OPEN
    assert ruling.breaker.until_s == NOW + 61 + 120


def test_a_slow_probe_fails_only_where_slow_calls_matter() -> None:
    settings = dataclasses.replace(PLAIN, slow_rate=0.5)

    assert told(half_opened(), [SLOW, SLOW]).breaker.state is BreakerState.CLOSED
    assert told(half_opened(settings=settings), [SLOW], settings=settings).breaker.state is BreakerState.OPEN


def test_a_probe_that_says_nothing_makes_room_for_another() -> None:
    first = admit(opened(), NOW + 60, PLAIN)
    second = admit(first.breaker, NOW + 60, PLAIN)
    assert first.permit is not None

    ruling = settle(second.breaker, first.permit, IGNORED, now_s=NOW + 61, draw=0.0, settings=PLAIN)

    assert ruling.breaker.state is BreakerState.HALF_OPEN
    assert admit(ruling.breaker, NOW + 61, PLAIN).permit is not None


def test_a_lost_probe_makes_room_when_it_expires() -> None:
    breaker = admit(half_opened(), NOW + 60, PLAIN).breaker

    assert admit(breaker, NOW + 60 + 59.9, PLAIN).permit is None
    assert admit(breaker, NOW + 60 + 60.0, PLAIN).permit is not None


def test_what_was_sent_before_says_nothing_about_now() -> None:
    breaker = half_opened()
    for event in (SUCCESS, FAILURE, SLOW):
        ruling = settle(breaker, Permit(0), event, now_s=NOW + 61, draw=0.0, settings=PLAIN)
        assert ruling.breaker is breaker


# Rate-limited and unauthorized


def test_one_429_limits_it_for_as_long_as_it_says() -> None:
    ruling = told(Breaker(), [Event(Kind.RATE_LIMITED, "status_429", 7.0)])

    assert ruling.breaker.state is BreakerState.RATE_LIMITED
    assert ruling.breaker.until_s == NOW + 7
    assert admit(ruling.breaker, NOW + 6.9, PLAIN).permit is None


def test_one_429_that_says_nothing_limits_it_for_thirty_seconds() -> None:
    assert told(Breaker(), [LIMITED]).breaker.until_s == NOW + 30


def test_after_the_limit_everything_passes() -> None:
    breaker = told(Breaker(), [LIMITED]).breaker

    ruling = admit(breaker, NOW + 30, PLAIN)

    assert ruling.breaker.state is BreakerState.CLOSED
    assert ruling.permit == Permit(ruling.breaker.generation)
    assert admit(ruling.breaker, NOW + 30, PLAIN).permit is not None


def test_further_429s_move_the_deadline_away_and_never_nearer() -> None:
    breaker = told(Breaker(), [Event(Kind.RATE_LIMITED, "status_429", 50.0)]).breaker

    shorter = settle(
        breaker, Permit(0), Event(Kind.RATE_LIMITED, "", 10.0), now_s=NOW + 5, draw=0.0, settings=PLAIN
    )
    longer = settle(
        breaker, Permit(0), Event(Kind.RATE_LIMITED, "", 100.0), now_s=NOW + 5, draw=0.0, settings=PLAIN
    )

    assert shorter.breaker.until_s == NOW + 50
    assert longer.breaker.until_s == NOW + 105
    assert longer.transition is None


def test_a_limit_is_no_failure() -> None:
    assert told(Breaker(), [FAILURE, FAILURE, LIMITED]).breaker.state is BreakerState.RATE_LIMITED


def test_a_refused_key_is_a_state_of_its_own() -> None:
    ruling = told(Breaker(), [REFUSED])

    assert ruling.breaker.state is BreakerState.UNAUTHORIZED
    assert ruling.breaker.until_s == NOW + 300
    probed = admit(ruling.breaker, NOW + 300, PLAIN)
    assert probed.breaker.state is BreakerState.HALF_OPEN
    assert told(probed.breaker, [REFUSED], now_s=NOW + 300).breaker.state is BreakerState.UNAUTHORIZED


def test_a_graver_state_keeps_the_longer_deadline() -> None:
    limited = told(Breaker(), [Event(Kind.RATE_LIMITED, "", 1_000.0)]).breaker

    assert told(limited, [REFUSED]).breaker.state is BreakerState.UNAUTHORIZED
    assert told(limited, [REFUSED]).breaker.until_s == NOW + 1_000


# Active checks


CHECKED = dataclasses.replace(PLAIN, check_s=10.0)


def test_a_check_is_given_to_one_who_asks_in_each_interval() -> None:
    breaker = opened(settings=CHECKED)

    assert claim_check(breaker, NOW + 9.9, CHECKED).permit is None
    first = claim_check(breaker, NOW + 10, CHECKED)
    assert first.permit == Permit(breaker.generation)
    assert claim_check(first.breaker, NOW + 10.1, CHECKED).permit is None
    assert claim_check(first.breaker, NOW + 20, CHECKED).permit is not None


def test_only_an_open_provider_is_checked_and_only_if_configured() -> None:
    limited = told(Breaker(), [LIMITED], settings=CHECKED).breaker
    for breaker in (Breaker(), limited, half_opened(settings=CHECKED)):
        assert claim_check(breaker, NOW + 1_000, CHECKED).permit is None
    assert claim_check(opened(), NOW + 1_000, PLAIN).permit is None


def test_no_check_comes_before_the_provider_wants_to_be_called() -> None:
    long = Event(Kind.FAILURE, "status_503", 30.0)
    breaker = told(Breaker(), [FAILURE, FAILURE, long], settings=CHECKED).breaker

    assert claim_check(breaker, NOW + 29, CHECKED).permit is None
    assert claim_check(breaker, NOW + 30, CHECKED).permit is not None


def test_checks_of_one_that_opens_again_and_again_grow_rare() -> None:
    again = told(half_opened(settings=CHECKED), [FAILURE], now_s=NOW + 70, settings=CHECKED).breaker

    assert claim_check(again, NOW + 70 + 19, CHECKED).permit is None
    assert claim_check(again, NOW + 70 + 20, CHECKED).permit is not None


# The clock


@given(
    st.lists(
        st.tuples(
            st.sampled_from([SUCCESS, FAILURE, LIMITED, REFUSED, Event(Kind.RATE_LIMITED, "", 90.0)]),
            st.floats(0, 100),
        ),
        max_size=12,
    ),
    st.floats(0, 1e9),
)
def test_a_clock_that_steps_back_makes_no_deadline_longer_than_it_was(
    past: list[tuple[Event, float]], step_s: float
) -> None:
    now_s, breaker = NOW, Breaker()
    for event, passed_s in past:
        breaker = told(admit(breaker, now_s, PLAIN).breaker, [event], now_s=now_s).breaker
        now_s += passed_s
    left_s = breaker.until_s - breaker.seen_s

    ruling = admit(breaker, now_s - step_s, PLAIN)

    if ruling.permit is None and breaker.state is not BreakerState.HALF_OPEN:
        assert ruling.retry_s - (now_s - step_s) <= left_s + 1.0 + 1e-6
    after = told(ruling.breaker, [SUCCESS], now_s=now_s - step_s).breaker
    assert after.seen_s <= max(now_s - step_s + 1.0, 0.0) or after is ruling.breaker


def test_the_clock_of_a_worker_that_was_a_moment_early_shifts_nothing() -> None:
    breaker = opened()

    ruling = admit(breaker, NOW - 0.5, PLAIN)

    assert ruling.breaker is breaker
    assert ruling.retry_s == NOW + 60


def test_after_a_step_back_the_rest_of_the_deadline_is_waited_for() -> None:
    breaker = opened()

    denied = admit(breaker, NOW - 1_000, PLAIN)

    assert denied.permit is None
    assert denied.retry_s == NOW - 1_000 + 60
    assert admit(denied.breaker, NOW - 1_000 + 60, PLAIN).permit is not None


def test_after_a_step_back_the_window_still_slides() -> None:
    settings = Settings(failures=1_000, window_requests=20)
    breaker = told(Breaker(), [FAILURE] * 19, settings=settings).breaker

    past = told(breaker, [FAILURE], now_s=NOW - 1_000, settings=settings).breaker
    much_later = told(breaker, [SUCCESS], now_s=NOW - 1_000, settings=settings).breaker
    much_later = told(much_later, [FAILURE] * 2, now_s=NOW - 900, settings=settings).breaker

    assert past.state is BreakerState.OPEN
    assert much_later.state is BreakerState.CLOSED
    assert much_later.window.total().calls == 2
