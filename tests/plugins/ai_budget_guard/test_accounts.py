"""The law of accounts."""

from typing import cast

import hypothesis.strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from ai_budget_guard.accounts import (
    EMPTY,
    Account,
    Refused,
    Reservation,
    bring_to,
    charge,
    free,
    renew,
    reserve,
    settle,
)
from aigateway.windows import ROLLING_PARTS, Period, Span, Window

_NOON_S = 1_800_000_000
_DAY = Window(period=Period.DAY)
_LIMIT = 1_000
_OWNER = "vm"


def _reserve(
    account: Account, nano_usd: int, now_s: int, window: Window = _DAY, lasts_s: int = 600
) -> tuple[Account, Reservation | Refused]:
    return reserve(
        account,
        nano_usd,
        limit_nano_usd=_LIMIT,
        span=window.span(now_s),
        parts=window.parts,
        now_s=now_s,
        owner=_OWNER,
        lasts_s=lasts_s,
    )


def _free(account: Account, now_s: int, window: Window = _DAY) -> int:
    return free(account, _LIMIT, window.span(now_s), window.parts, now_s)


def _admitted(outcome: tuple[Account, Reservation | Refused]) -> tuple[Account, Reservation]:
    assert isinstance(outcome[1], Reservation)
    return cast("tuple[Account, Reservation]", outcome)


def test_a_reservation_counts_at_once_and_the_limit_itself_is_allowed() -> None:
    account, _ = _admitted(_reserve(EMPTY, 600, _NOON_S))
    account, _ = _admitted(_reserve(account, 400, _NOON_S))

    account, refused = _reserve(account, 1, _NOON_S)

    assert refused == Refused(0, 1_000, _DAY.span(_NOON_S).end_s)
    assert _free(account, _NOON_S) == 0


def test_settling_charges_the_true_cost_and_releases_the_rest() -> None:
    account, first = _admitted(_reserve(EMPTY, 600, _NOON_S))
    account, second = _admitted(_reserve(account, 100, _NOON_S + 1))

    account = settle(account, first, 250)

    assert (account.spent_nano_usd, account.reserved_nano_usd) == (250, 100)
    account = settle(account, second, 0)
    assert (account.spent_nano_usd, account.holds) == (250, ())


def test_more_than_reserved_is_charged_in_full() -> None:
    account, reservation = _admitted(_reserve(EMPTY, 900, _NOON_S))

    account = settle(account, reservation, 1_300)

    assert account.spent_nano_usd == 1_300
    assert _free(account, _NOON_S) == 0


def test_an_expired_reservation_is_returned_and_its_cost_still_charged() -> None:
    account, reservation = _admitted(_reserve(EMPTY, 900, _NOON_S, lasts_s=60))
    later_s = reservation.expires_s
    assert later_s >= _NOON_S + 60
    assert _free(account, later_s - 1) == 100
    assert _free(account, later_s) == 1_000

    account, other = _admitted(_reserve(account, 800, later_s))
    account = settle(account, reservation, 300)

    assert (account.spent_nano_usd, account.reserved_nano_usd) == (300, 800)
    assert settle(account, other, 100).spent_nano_usd == 400


def test_a_charge_belongs_to_the_window_of_its_request() -> None:
    account, old = _admitted(_reserve(EMPTY, 900, _NOON_S))
    tomorrow_s = _DAY.span(_NOON_S).end_s or 0

    account, new = _admitted(_reserve(account, 1_000, tomorrow_s))
    account = settle(account, old, 700)

    assert account.spent_nano_usd == 0
    assert account.lifetime_nano_usd == 700
    assert settle(account, new, 20).spent_nano_usd == 20


def test_a_clock_that_is_set_back_gives_no_new_budget() -> None:
    account, reservation = _admitted(_reserve(EMPTY, 1_000, _NOON_S))
    account = settle(account, reservation, 1_000)

    _, refused = _reserve(account, 1, _NOON_S - 3 * 86_400)

    assert isinstance(refused, Refused)


def test_a_rolling_window_forgets_part_by_part_and_never_too_early() -> None:
    window = Window(period=Period.ROLLING, rolling_s=6_000)
    account = EMPTY
    for minute in range(10):
        account, reservation = _admitted(_reserve(account, 100, _NOON_S + 60 * minute, window))
        account = settle(account, reservation, 100)

    assert _free(account, _NOON_S + 5_999, window) == 0
    assert _free(account, _NOON_S + 6_000 + 2 * 6_000 // ROLLING_PARTS, window) >= 100
    assert _free(account, _NOON_S + 7_000, window) == 1_000


def test_a_reservation_of_an_earlier_part_counts_in_a_rolling_window() -> None:
    window = Window(period=Period.ROLLING, rolling_s=6_000)
    account, reservation = _admitted(_reserve(EMPTY, 900, _NOON_S, window, lasts_s=3_000))

    assert _free(account, _NOON_S + 1_000, window) == 100
    account = settle(account, reservation, 900)
    assert _free(account, _NOON_S + 1_000, window) == 100


def test_holds_of_one_minute_are_one_sum() -> None:
    account = EMPTY
    for _ in range(50):
        account, _ = _reserve(account, 1, _NOON_S)

    assert [hold.nano_usd for hold in account.holds] == [50]


def test_a_renewed_reservation_counts_once() -> None:
    account, reservation = _admitted(_reserve(EMPTY, 900, _NOON_S, lasts_s=60))

    account, renewed = renew(account, reservation, _NOON_S + 30, 600, _OWNER)

    assert renewed.expires_s >= _NOON_S + 630
    assert _free(account, _NOON_S + 600) == 100
    assert settle(account, renewed, 0).holds == ()


def test_a_reservation_that_expired_before_it_was_renewed_is_made_again() -> None:
    account, reservation = _admitted(_reserve(EMPTY, 900, _NOON_S, lasts_s=60))
    late_s = reservation.expires_s + 60
    account, _ = _admitted(_reserve(account, 800, late_s))

    account, _ = renew(account, reservation, late_s, 600, _OWNER)

    assert account.reserved_nano_usd == 1_700
    assert _free(account, late_s) == 0


def test_what_a_lost_owner_reserved_is_returned_and_charged_all_the_same() -> None:
    account, lost = _admitted(_reserve(EMPTY, 900, _NOON_S))
    span = _DAY.span(_NOON_S)

    account = bring_to(account, span, 1, _NOON_S, {_OWNER})

    assert account.holds == ()
    account, other = _admitted(_reserve(account, 700, _NOON_S))
    account, other = renew(account, other, _NOON_S, 600, "other")
    account = settle(account, lost, 400)
    assert (account.spent_nano_usd, account.reserved_nano_usd) == (400, 700)
    assert settle(account, other, 0).holds == ()


def test_a_reservation_goes_over_to_the_owner_who_renews_it() -> None:
    account, reservation = _admitted(_reserve(EMPTY, 900, _NOON_S))

    account, renewed = renew(account, reservation, _NOON_S, 600, "other")

    assert [(hold.owner, hold.nano_usd) for hold in account.holds] == [("other", 900)]
    assert settle(account, renewed, 0).holds == ()


def test_renewing_never_shortens() -> None:
    account, reservation = _admitted(_reserve(EMPTY, 900, _NOON_S))

    assert renew(account, reservation, _NOON_S - 7_200, 60, _OWNER)[1] == reservation


def test_a_refusal_says_when_enough_of_a_rolling_window_has_left() -> None:
    window = Window(period=Period.ROLLING, rolling_s=6_000)
    account = EMPTY
    for minute in range(10):
        account, reservation = _admitted(_reserve(account, 100, _NOON_S + 60 * minute, window))
        account = settle(account, reservation, 100)

    for needed in (1, 100, 101, 950):
        _, refused = _reserve(account, needed, _NOON_S + 600, window)
        assert isinstance(refused, Refused)
        assert refused.resets_s is not None
        assert isinstance(_reserve(account, needed, refused.resets_s, window)[1], Reservation)
        assert isinstance(_reserve(account, needed, refused.resets_s - 1, window)[1], Refused)


def test_a_total_never_resets() -> None:
    total = Window(period=Period.TOTAL)
    account, _ = _admitted(_reserve(EMPTY, 1_000, _NOON_S, total))

    assert _reserve(account, 1, _NOON_S, total)[1] == Refused(0, 1_000, None)


class AccountLaw(RuleBasedStateMachine):
    """Any order of events, against sums kept beside."""

    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        self.account = EMPTY
        self.now_s = _NOON_S
        self.charged: list[tuple[int, int]] = []
        self.open: list[Reservation] = []

    @rule(seconds=st.integers(-90_000, 90_000))
    def time_passes(self, seconds: int) -> None:
        self.now_s += seconds

    @rule(target=reservations, nano_usd=st.integers(0, 1_100), lasts_s=st.integers(1, 900))
    def reserve(self, nano_usd: int, lasts_s: int) -> Reservation | Refused:
        could = _free(self.account, self.now_s)
        self.account, result = _reserve(self.account, nano_usd, self.now_s, lasts_s=lasts_s)
        if isinstance(result, Refused):
            assert result.spent_nano_usd + result.reserved_nano_usd + nano_usd > _LIMIT
            assert nano_usd >= could
        else:
            assert nano_usd <= could
            assert self.account.spent_nano_usd + self.account.reserved_nano_usd <= _LIMIT
            self.open.append(result)
        return result

    @rule(target=reservations, reservation=consumes(reservations), lasts_s=st.integers(1, 900))
    def renew(self, reservation: Reservation | Refused, lasts_s: int) -> Reservation | Refused:
        if isinstance(reservation, Refused):
            return reservation
        self.account, renewed = renew(self.account, reservation, self.now_s, lasts_s, _OWNER)
        self.open[self.open.index(reservation)] = renewed
        assert renewed.expires_s > self.now_s
        return renewed

    @rule(reservation=consumes(reservations), share=st.floats(0, 1))
    def settle(self, reservation: Reservation | Refused, share: float) -> None:
        if isinstance(reservation, Refused):
            return
        actual = int(reservation.nano_usd * share)
        self.account = settle(self.account, reservation, actual)
        self.charged.append((reservation.window_s, actual))
        self.open.remove(reservation)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.account.lifetime_nano_usd == sum(actual for _, actual in self.charged)

    @invariant()
    def the_window_has_what_was_admitted_in_it(self) -> None:
        window_s = self.account.window_s
        expected = sum(actual for start_s, actual in self.charged if start_s == window_s)
        assert self.account.spent_nano_usd == expected

    @invariant()
    def no_reservation_is_left_over(self) -> None:
        assert self.account.held_nano_usd <= sum(reservation.nano_usd for reservation in self.open)
        if not self.open:
            assert not self.account.holds


TestAccountLaw = AccountLaw.TestCase


def test_a_charge_without_a_reservation_counts_too() -> None:
    span = Span(0, None)
    account = charge(EMPTY, 0, 42)

    assert free(account, 100, span, 1, _NOON_S) == 58
