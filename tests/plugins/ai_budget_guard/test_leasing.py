"""The law of leases, alone and with a real Redis under every accident there is."""

from dataclasses import dataclass, field, replace
from itertools import count
from typing import cast

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from ai_budget_guard.accounts import EMPTY, Account, Refused, Reservation
from ai_budget_guard.lease import NO_LEASE, Answer, Call, encode_call
from ai_budget_guard.leasing import (
    Beyond,
    Outage,
    Terms,
    Wait,
    answered,
    charged,
    counted,
    next_call,
    reserve,
)
from ai_budget_guard.script import SCRIPT, read_answers
from ai_budget_guard.slots import find, put
from aigateway.windows import Period, Window

NOW_S = 1_790_000_000
DAY_S = 86_400
LIMIT = 1_000
TOTAL = Window(period=Period.TOTAL)
DAY = Window(period=Period.DAY)
ROLLING = Window(period=Period.ROLLING, rolling_s=6_000)


def terms(now_s: int = NOW_S, window: Window = TOTAL, **more: object) -> Terms:
    values = {"limit_nano_usd": LIMIT, "most_nano_usd": 100} | more
    return Terms(span=window.span(now_s), parts=window.parts, now_s=now_s, **values)  # type: ignore[arg-type]


def ask(
    account: Account,
    nano_usd: int,
    given: Terms | None = None,
    *,
    beyond: Beyond = Beyond.ASK,
    wait: Wait | None = None,
    answer: Answer | None = None,
) -> tuple[Account, Reservation | Refused | Wait | Outage]:
    return reserve(
        account,
        nano_usd,
        given or terms(),
        owner="vm",
        lasts_s=3_650 * DAY_S,
        beyond=beyond,
        wait=wait,
        answer=answer,
    )


def answer_to(call: Call, lease: int, *, spent: int = 0, others: int = 0, wanted: bool = False) -> Answer:
    return Answer(
        number=call.number,
        lease_nano_usd=lease,
        window_s=call.window_s,
        counts_from_s=call.counts_from_s,
        left_s=30,
        spent_nano_usd=spent,
        leased_nano_usd=lease + others,
        is_wanted=wanted,
    )


def waits(account: Account, nano_usd: int, given: Terms | None = None) -> tuple[Account, Wait]:
    account, wait = ask(account, nano_usd, given)
    assert isinstance(wait, Wait)
    return account, wait


def leased(nano_usd: int, given: Terms | None = None, *, spent: int = 0, others: int = 0) -> Account:
    """Return an account with a lease of *nano_usd*, and nothing reserved."""
    account, wait = waits(EMPTY, nano_usd, given)
    return answered(account, answer_to(wait.call, nano_usd, spent=spent, others=others), given or terms())


def test_a_lease_is_spent_without_asking() -> None:
    account, first = ask(leased(500), 300)
    account, second = ask(account, 200)

    assert isinstance(first, Reservation)
    assert isinstance(second, Reservation)
    account, third = ask(account, 1)
    assert isinstance(third, Wait)
    assert third.call.lacks_nano_usd == 1


def test_what_is_lacking_is_asked_for_and_what_was_spent_is_told_with_it() -> None:
    account, held = ask(leased(500), 300)
    assert isinstance(held, Reservation)
    account = charged(account, held, 250)

    account, wait = waits(account, 400)

    call = wait.call
    assert (call.lacks_nano_usd, call.keeps_nano_usd) == (150, 250)
    assert (call.spent, call.lifetime_nano_usd) == (((0, 250),), 250)
    assert (account.spent, account.lifetime_nano_usd) == ((), 0)
    account, admitted = ask(account, 400, wait=wait, answer=answer_to(call, 400, spent=250))
    assert isinstance(admitted, Reservation)


def test_whoever_comes_while_a_call_is_on_its_way_is_counted_in_the_next() -> None:
    account, first = waits(EMPTY, 10)
    account, second = waits(account, 20)
    account, third = waits(account, 30)
    assert first.call == second.call == third.call

    account, admitted = ask(account, 10, wait=first, answer=answer_to(first.call, 10))
    assert isinstance(admitted, Reservation)
    account, again = ask(account, 20, wait=second, answer=answer_to(first.call, 10))

    assert isinstance(again, Wait)
    assert (again.call.lacks_nano_usd, again.call.waiting_nano_usd) == (20, 50)
    account, still = ask(account, 30, wait=third, answer=answer_to(first.call, 10))
    assert isinstance(still, Wait)
    assert still.call == again.call
    assert (account.lease or NO_LEASE).waiting_nano_usd == 0


def test_whoever_need_not_wait_any_longer_is_not_waited_for() -> None:
    account, first = waits(EMPTY, 10)
    account, second = waits(account, 20)

    account, admitted = ask(account, 20, wait=second, answer=answer_to(first.call, 40))

    assert isinstance(admitted, Reservation)
    assert (account.lease or NO_LEASE).waiting_nano_usd == 0


def test_a_request_is_refused_by_an_answer_that_has_counted_it() -> None:
    account, wait = waits(EMPTY, 600)
    scarce = replace(answer_to(wait.call, 0, spent=300, others=200), parts=((0, 300),))

    account, refused = ask(account, 600, wait=wait, answer=scarce)

    assert refused == Refused(300, 200, None)


def test_a_request_that_others_were_faster_than_asks_again() -> None:
    account, wait = waits(EMPTY, 600)
    answer = answer_to(wait.call, 600)
    account = answered(account, answer, terms())
    account, _ = ask(account, 400)

    account, again = ask(account, 600, wait=wait, answer=answer)

    assert isinstance(again, Wait)
    assert (again.call.number, again.call.lacks_nano_usd) == (wait.call.number + 1, 400)


def test_what_is_known_to_be_spent_is_refused_without_asking() -> None:
    account = leased(10, spent=950)

    assert ask(account, 51)[1] == Refused(950, 0, None)
    assert isinstance(ask(account, 50)[1], Wait)
    assert isinstance(ask(account, 51, terms(NOW_S + 2))[1], Wait)


def test_an_answer_that_comes_twice_changes_nothing() -> None:
    account, wait = waits(EMPTY, 600)
    answer = answer_to(wait.call, 600)
    account = answered(account, answer, terms())
    account, held = ask(account, 600)
    assert isinstance(held, Reservation)
    account = charged(account, held, 600)

    assert answered(account, answer, terms()) == account
    account, next_wait = waits(account, 1)
    assert answered(account, answer, terms()) == account
    assert next_wait.call.keeps_nano_usd == 0


def test_a_number_that_redis_has_passed_is_made_anew() -> None:
    account, wait = waits(EMPTY, 600)
    ahead = replace(answer_to(wait.call, 0), number=wait.call.number + 7)

    account, again = ask(account, 600, wait=wait, answer=ahead)

    assert isinstance(again, Wait)
    assert again.call == replace(wait.call, number=wait.call.number + 8)


def due(account: Account, given: Terms) -> tuple[Account, Call | None]:
    return next_call(account, given, renew_s=10, resend_s=3)


def test_what_is_not_needed_goes_back() -> None:
    account, held = ask(leased(500), 300)
    assert isinstance(held, Reservation)
    assert due(account, terms(NOW_S + 1))[1] is None

    account, call = due(account, terms(NOW_S + 2))

    assert call is not None
    assert (call.keeps_nano_usd, call.wish_nano_usd) == (300, 0)
    account = answered(account, answer_to(call, 300), terms(NOW_S + 2))
    account = charged(account, held, 120)
    account, call = due(account, terms(NOW_S + 3))
    assert call is not None
    assert (call.keeps_nano_usd, call.spent) == (0, ((0, 120),))
    account = answered(account, answer_to(call, 0, spent=120), terms(NOW_S + 3))
    assert due(account, terms(NOW_S + 60))[1] is None


def test_what_others_want_goes_back_at_once() -> None:
    account, wait = waits(EMPTY, 500)
    account = answered(account, answer_to(wait.call, 500, wanted=True), terms())
    account, _ = ask(account, 300)

    account, call = due(account, terms())

    assert call is not None
    assert call.keeps_nano_usd == 300


def test_a_call_without_an_answer_is_made_again_as_it_was() -> None:
    account, wait = waits(EMPTY, 500)
    assert due(account, terms(NOW_S + 2))[1] is None

    account, call = due(account, terms(NOW_S + 3))

    assert call == wait.call
    assert due(account, terms(NOW_S + 4))[1] is None
    assert due(account, terms(NOW_S + 6))[1] == wait.call


def test_a_lease_with_reservations_is_renewed() -> None:
    account, _ = ask(leased(500), 500)

    assert due(account, terms(NOW_S + 9))[1] is None
    account, call = due(account, terms(NOW_S + 10))
    assert call is not None
    assert call.keeps_nano_usd == 500


def test_more_is_wished_the_more_often_requests_wait_and_nothing_after_a_pause() -> None:
    account, wishes = EMPTY, []
    for _ in range(5):
        account, wait = waits(account, 20)
        wishes.append(wait.call.wish_nano_usd)
        account, _ = ask(account, 20, wait=wait, answer=answer_to(wait.call, wait.call.keeps_nano_usd + 20))
    assert wishes == [20, 40, 80, 100, 100]

    account, call = due(account, terms(NOW_S + 1))
    assert call is not None
    assert (call.lacks_nano_usd, call.wish_nano_usd) == (0, 100)
    account = answered(account, answer_to(call, 200), terms())
    account, call = due(account, terms(NOW_S + 2))
    assert call is not None
    assert (account.lease or NO_LEASE).target_nano_usd == 0


def test_a_lease_is_of_its_window() -> None:
    today, tomorrow = terms(NOW_S, DAY), terms(NOW_S + DAY_S, DAY)
    account, held = ask(leased(500, today), 300, today)
    assert isinstance(held, Reservation)

    account, wait = waits(account, 300, tomorrow)
    account = charged(account, held, 250)

    assert (wait.call.keeps_nano_usd, wait.call.lacks_nano_usd) == (0, 300)
    assert (account.spent, account.lifetime_nano_usd) == ((), 250)
    account = answered(account, answer_to(wait.call, 300), tomorrow)
    account, call = due(account, terms(NOW_S + DAY_S + 2, DAY))
    assert call is not None
    assert (call.spent, call.lifetime_nano_usd) == ((), 250)


def test_a_lease_of_a_rolling_window_goes_on_for_as_long_as_that() -> None:
    account = leased(500, terms(NOW_S, ROLLING))

    assert isinstance(ask(account, 500, terms(NOW_S + 5_900, ROLLING))[1], Reservation)
    assert isinstance(ask(account, 500, terms(NOW_S + 6_100, ROLLING))[1], Wait)


def test_a_lease_that_others_may_have_is_not_spent_and_not_given_up() -> None:
    account, wait = waits(EMPTY, 500)
    answer = replace(answer_to(wait.call, 500), until_s=NOW_S + 20)
    account = answered(account, answer, terms())

    assert isinstance(ask(account, 500, terms(NOW_S + 19))[1], Reservation)
    late, wait = waits(account, 500, terms(NOW_S + 20))
    assert (wait.call.keeps_nano_usd, wait.call.lacks_nano_usd) == (500, 500)
    assert late != account


def test_what_the_lease_covers_is_admitted_whatever_redis_does() -> None:
    account = leased(500, spent=100, others=300)

    for beyond in Beyond:
        assert isinstance(ask(account, 500, beyond=beyond)[1], Reservation)


def test_beyond_the_lease_it_is_as_configured() -> None:
    account = leased(500, spent=100, others=300)

    assert isinstance(ask(account, 5_000, beyond=Beyond.FAIL_OPEN)[1], Reservation)
    assert ask(account, 501, beyond=Beyond.FAIL_CLOSED)[1] is Outage.AWAY
    assert isinstance(ask(account, 600, beyond=Beyond.LOCAL_ONLY)[1], Reservation)
    assert ask(account, 601, beyond=Beyond.LOCAL_ONLY)[1] == Refused(100, 300, None)
    assert isinstance(ask(EMPTY, LIMIT, beyond=Beyond.LOCAL_ONLY)[1], Reservation)


def test_a_gateway_by_itself_holds_to_what_it_has_spent_since() -> None:
    account = leased(100, spent=100, others=300)
    account, held = ask(account, 500, beyond=Beyond.LOCAL_ONLY)
    assert isinstance(held, Reservation)
    account = charged(account, held, 450)
    account, call = due(account, terms())
    assert call is not None

    assert counted(account) == 100 + 300 + 450
    assert isinstance(ask(account, 150, beyond=Beyond.LOCAL_ONLY)[1], Reservation)
    assert isinstance(ask(account, 151, beyond=Beyond.LOCAL_ONLY)[1], Refused)


def test_what_was_spent_beyond_the_lease_is_told_and_not_asked_for() -> None:
    account, held = ask(leased(100), 700, beyond=Beyond.FAIL_OPEN)
    assert isinstance(held, Reservation)

    account, wait = waits(charged(account, held, 700), 30)

    assert (wait.call.spent, wait.call.keeps_nano_usd, wait.call.lacks_nano_usd) == (((0, 700),), 0, 30)
    account, admitted = ask(account, 30, wait=wait, answer=answer_to(wait.call, 30, spent=700))
    assert isinstance(admitted, Reservation)


def test_a_limit_that_is_not_enforced_is_never_waited_for() -> None:
    shadow = terms(is_enforced=False)

    account, held = ask(EMPTY, 5_000, shadow)

    assert isinstance(held, Reservation)
    account, call = due(charged(account, held, 4_000), shadow)
    assert call is not None
    assert (call.lifetime_nano_usd, call.keeps_nano_usd, call.wish_nano_usd) == (4_000, 0, 0)


# With Redis, under every accident

_names = count()


@dataclass(eq=False)
class Gateway:
    name: str
    slot: bytes | None = None
    open: list[Reservation] = field(default_factory=list)
    waits: list[tuple[int, Wait]] = field(default_factory=list)
    clock_s: int = 0
    """How far its clock is ahead."""

    @property
    def account(self) -> Account:
        return find(self.slot, "x")

    @account.setter
    def account(self, account: Account) -> None:
        self.slot = put(self.slot, "x", account)


class LeaseLaw(RuleBasedStateMachine):
    """Gateways, one Redis, and a network that loses, doubles and delays."""

    redis: Redis
    window: Window

    def __init__(self) -> None:
        super().__init__()
        self.key = f"law:{next(_names)}"
        self.now_s = NOW_S
        self.gateways = [Gateway(f"{next(_names):x}") for _ in range(3)]
        self.calls: list[tuple[Gateway, Call]] = []
        self.answers: list[tuple[Gateway, Answer]] = []
        self.done: dict[str, int] = {}
        """By gateway: the last number that was executed."""
        self.told = 0
        self.lost = 0
        """What gateways had spent, and not told, that have died."""
        self.admitted: dict[int, int] = {}
        """By window: what was charged and is reserved."""
        self.charged = 0

    def terms(self, gateway: Gateway) -> Terms:
        return terms(self.now_s + gateway.clock_s, self.window)

    @rule(seconds=st.one_of(st.integers(0, 5), st.integers(0, 2 * DAY_S)))
    def time_passes(self, seconds: int) -> None:
        self.now_s += seconds

    @rule(who=st.integers(0, 2), seconds=st.integers(-DAY_S, DAY_S))
    def a_clock_is_set(self, who: int, seconds: int) -> None:
        self.gateways[who].clock_s = seconds

    @rule(who=st.integers(0, 2), nano_usd=st.integers(0, 600))
    def request(self, who: int, nano_usd: int) -> None:
        self.go_on(self.gateways[who], nano_usd, None, None)

    def go_on(self, gateway: Gateway, nano_usd: int, wait: Wait | None, answer: Answer | None) -> None:
        account, result = ask(gateway.account, nano_usd, self.terms(gateway), wait=wait, answer=answer)
        gateway.account = account
        if isinstance(result, Reservation):
            gateway.open.append(result)
            self.admitted[result.window_s] = self.admitted.get(result.window_s, 0) + nano_usd
        elif isinstance(result, Wait):
            gateway.waits.append((nano_usd, result))
            self.calls.append((gateway, result.call))

    @rule(who=st.integers(0, 2), which=st.integers(0, 99), share=st.floats(0, 1))
    def settle(self, who: int, which: int, share: float) -> None:
        gateway = self.gateways[who]
        if gateway.open:
            held = gateway.open.pop(which % len(gateway.open))
            actual = int(held.nano_usd * share)
            self.admitted[held.window_s] -= held.nano_usd - actual
            self.charged += actual
            gateway.account = charged(gateway.account, held, actual)

    @rule(who=st.integers(0, 2))
    def tick(self, who: int) -> None:
        gateway = self.gateways[who]
        gateway.account, call = due(gateway.account, self.terms(gateway))
        if call is not None:
            self.calls.append((gateway, call))

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, 99), stays=st.booleans(), is_lost=st.booleans())
    def execute(self, which: int, stays: bool, is_lost: bool) -> None:
        """Execute any call, late or not; perhaps it comes again, perhaps its answer is lost."""
        which %= len(self.calls)
        gateway, call = self.calls[which] if stays else self.calls.pop(which)
        answer = self.run(gateway, call)
        if not is_lost:
            self.answers.append((gateway, answer))

    def run(self, gateway: Gateway, call: Call) -> Answer:
        if call.number > self.done.get(gateway.name, 0):
            self.done[gateway.name] = call.number
            self.told += call.lifetime_nano_usd
            if gateway not in self.gateways:
                self.lost -= call.lifetime_nano_usd
        reply = self.redis.eval(
            SCRIPT, 2, "law:accounts", self.key, gateway.name, "30", "charge", encode_call(call)
        )
        return read_answers(reply, 1)[0]

    @precondition(lambda self: self.answers)
    @rule(which=st.integers(0, 99), waiter=st.integers(0, 99), stays=st.booleans())
    def hear(self, which: int, waiter: int, stays: bool) -> None:
        which %= len(self.answers)
        gateway, answer = self.answers[which] if stays else self.answers.pop(which)
        if gateway not in self.gateways:
            return
        if gateway.waits:
            nano_usd, wait = gateway.waits.pop(waiter % len(gateway.waits))
            self.go_on(gateway, nano_usd, wait, answer)
        else:
            gateway.account = answered(gateway.account, answer, self.terms(gateway))

    @rule(who=st.integers(0, 2))
    def die(self, who: int) -> None:
        gateway = self.gateways[who]
        self.lost += self.untold(gateway)
        self.gateways[who] = Gateway(f"{next(_names):x}")

    def untold(self, gateway: Gateway) -> int:
        account = gateway.account
        call = (account.lease or NO_LEASE).call
        is_told = call is None or call.number <= self.done.get(gateway.name, 0)
        return account.lifetime_nano_usd + (0 if call is None or is_told else call.lifetime_nano_usd)

    @invariant()
    def no_window_has_more_than_the_limit(self) -> None:
        assert all(amount <= LIMIT for amount in self.admitted.values()), self.admitted

    @invariant()
    def nothing_is_lost_and_nothing_told_twice(self) -> None:
        assert int(self.redis.hget(self.key, "lifetime") or 0) == self.told
        untold = sum(self.untold(gateway) for gateway in self.gateways)
        assert self.told + untold + self.lost == self.charged

    @invariant()
    def redis_has_given_out_no_more_than_the_limit(self) -> None:
        spent, leases = state(self.redis, self.key)
        assert spent + sum(leases.values()) <= LIMIT

    def teardown(self) -> None:
        """In the end all is told, and nothing is leased but to the dead."""
        for gateway in self.gateways:
            while gateway.open:
                self.settle(self.gateways.index(gateway), 0, 1.0)
        for _ in range(12):
            self.now_s += 4
            for gateway in self.gateways:
                account, call = due(gateway.account, self.terms(gateway))
                if call is not None:
                    account = answered(account, self.run(gateway, call), self.terms(gateway))
                gateway.account = account
        assert int(self.redis.hget(self.key, "lifetime") or 0) == self.charged - self.lost
        for gateway in self.gateways:
            account = gateway.account
            _, leases = state(self.redis, self.key, max(account.window_s, self.terms(gateway).span.start_s))
            assert leases.get(gateway.name, 0) == 0
            assert (account.spent, account.holds, account.lifetime_nano_usd) == ((), (), 0)
            assert (account.lease or NO_LEASE).call is None


def state(redis: Redis, key: str, now_from_s: int = 0) -> tuple[int, dict[str, int]]:
    """Return what is spent in the window of an account, and the leases that count."""
    fields = cast("dict[str, str]", redis.hgetall(key))
    from_s = max(now_from_s, int(fields.get("from", 0)))
    spent, leases = 0, {}
    for field_name, value in fields.items():
        kind, _, name = field_name.partition(":")
        if kind == "spent" and int(name) >= from_s:
            spent += int(value)
        elif kind == "lease":
            nano_usd, window_s, *_ = map(int, value.split("|"))
            leases[name] = nano_usd if window_s >= from_s else 0
    return spent, leases


@pytest.mark.parametrize("window", [TOTAL, DAY], ids=["total", "day"])
def test_no_accident_loses_money_or_spends_it_twice(redis: Redis, window: Window) -> None:
    LeaseLaw.redis, LeaseLaw.window = redis, window
    run_state_machine_as_test(
        LeaseLaw,
        settings=settings(stateful_step_count=60, report_multiple_bugs=False, print_blob=False),
    )
