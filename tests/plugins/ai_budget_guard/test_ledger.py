"""The ledger under workers that interrupt one another at every step."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from ai_budget_guard.books import BusyError
from ai_budget_guard.ledger import Allowance, Entry, Ledger, Overdrawn
from ai_budget_guard.slots import closed_nano_usd, every_account
from aigateway.windows import Period, Window

_NOW_S = 1_800_000_000
_TOTAL = Window(period=Period.TOTAL)


@dataclass
class Value:
    value: bytes
    version: int


class SharedData:
    """Shared data with the host's semantics; *between* runs between a read and the write after it."""

    def __init__(self, between: Callable[[], None] = lambda: None) -> None:
        self.values: dict[str, Value] = {}
        self.between = between
        self.lost = 0
        self._lock = threading.Lock()

    def get_versioned(self, key: str) -> Value | None:
        with self._lock:
            found = self.values.get(key)
            found = None if found is None else Value(found.value, found.version)
        self.between()
        return found

    def create(self, key: str, value: bytes) -> bool:
        with self._lock:
            if key in self.values:
                self.lost += 1
                return False
            self.values[key] = Value(value, 1)
            return True

    def compare_and_set(self, key: str, value: bytes, version: int) -> bool:
        with self._lock:
            if self.values[key].version != version:
                self.lost += 1
                return False
            self.values[key] = Value(value, version + 1)
            return True


def _ledger(store: SharedData, owner: str = "vm", slot_count: int = 16) -> Ledger:
    return Ledger(store, owner=owner, slot_count=slot_count, lasts_s=600)


def _allowance(limit: str = "total", subject: str = "alice", nano_usd: int = 1_000) -> Allowance:
    return Allowance(limit=limit, subject=subject, nano_usd=nano_usd, window=_TOTAL)


def settle(ledger: Ledger, entries: Sequence[Entry], nano_usd: int) -> None:
    for entry in entries:
        ledger.settle(entry, nano_usd)


def test_all_limits_hold_or_nothing_is_reserved() -> None:
    ledger = _ledger(SharedData())
    wide, narrow = _allowance("wide"), _allowance("narrow", nano_usd=300)

    result = ledger.reserve([wide, narrow], 400, _NOW_S)

    assert isinstance(result, Overdrawn)
    assert result.allowance is narrow
    assert ledger.free_nano_usd(wide, _NOW_S) == 1_000


def test_settling_charges_every_limit() -> None:
    ledger = _ledger(SharedData())
    limits = [_allowance("wide"), _allowance("narrow", nano_usd=300)]
    entries = ledger.reserve(limits, 200, _NOW_S)
    assert not isinstance(entries, Overdrawn)

    settle(ledger, entries, 120)

    assert [ledger.free_nano_usd(limit, _NOW_S) for limit in limits] == [880, 180]


def test_subjects_of_one_slot_do_not_touch() -> None:
    ledger = _ledger(SharedData(), slot_count=1)
    for name in ("alice", "bob", "carol"):
        assert not isinstance(ledger.reserve([_allowance(subject=name)], 1_000, _NOW_S), Overdrawn)

    assert isinstance(ledger.reserve([_allowance(subject="bob")], 1, _NOW_S), Overdrawn)
    assert ledger.free_nano_usd(_allowance(subject="dave"), _NOW_S) == 1_000


def test_sixteen_workers_spend_a_cap_to_the_last_unit_and_never_more() -> None:
    chance = random.Random(7)
    store = SharedData(lambda: time.sleep(chance.random() / 20_000))
    spent: list[int] = []

    def work(owner: str) -> None:
        ledger = _ledger(store, owner)
        while True:
            entries = ledger.reserve([_allowance(), _allowance("global", "", 10_000)], 10, _NOW_S)
            if isinstance(entries, Overdrawn):
                return
            settle(ledger, entries, 10)
            spent.append(10)

    workers = [threading.Thread(target=work, args=(f"{number:x}",)) for number in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert store.lost > 0
    assert sum(spent) == 1_000
    assert _ledger(store).free_nano_usd(_allowance(), _NOW_S) == 0
    assert _ledger(store).free_nano_usd(_allowance("global", "", 10_000), _NOW_S) == 9_000


def test_an_account_that_never_stands_still_is_an_error_and_not_a_free_request() -> None:
    store = SharedData()
    _ledger(store).reserve([_allowance()], 1, _NOW_S)
    key = next(iter(store.values))

    def interrupt() -> None:
        store.values[key].version += 1

    store.between = interrupt

    with pytest.raises(BusyError, match="total"):
        _ledger(store).reserve([_allowance()], 1, _NOW_S)


def test_yesterdays_consumers_make_room_and_their_money_is_still_known() -> None:
    store = SharedData()
    ledger = _ledger(store, slot_count=1)
    for day in range(3):
        for number in range(50):
            now_s = _NOW_S + day * 86_400
            allowance = Allowance(
                limit="daily",
                subject=f"{day}-{number}",
                nano_usd=100,
                window=Window(period=Period.DAY),
            )
            entries = ledger.reserve([allowance], 60, now_s)
            assert not isinstance(entries, Overdrawn)
            settle(ledger, entries, 7)

    slot = next(iter(store.values.values())).value
    assert {subject.split("-")[0] for subject, _ in every_account(slot)} == {"2"}
    assert closed_nano_usd(slot) == 2 * 50 * 7


def test_a_tenth_of_a_hundred_thousand_consumers_takes_less_than_a_tenth_of_64_megabytes() -> None:
    store = SharedData()
    ledger = _ledger(store, slot_count=1_638)
    for number in range(10_000):
        allowance = _allowance(subject=f"consumer-{number:06}@example.com", nano_usd=25 * 10**9)
        entries = ledger.reserve([allowance], 1_234_567, _NOW_S)
        assert not isinstance(entries, Overdrawn)
        settle(ledger, entries, 654_321)

    # A key, a string, a version and a node of the host's map beside each value.
    size = sum(len(key) + len(value.value) + 128 for key, value in store.values.items())
    assert len(store.values) <= 1_638
    assert size < 6.4e6 / 4


def test_a_busy_account_takes_nothing_with_it() -> None:
    store = SharedData()
    ledger = _ledger(store)
    free, busy = _allowance("free"), _allowance("busy")
    ledger.reserve([busy], 1, _NOW_S)
    key = next(iter(store.values))

    def interrupt() -> None:
        store.values[key].version += 1

    store.between = interrupt
    with pytest.raises(BusyError, match="busy"):
        ledger.reserve([free, busy], 400, _NOW_S)

    assert ledger.books.lost_races == 200
    assert ledger.free_nano_usd(free, _NOW_S) == 1_000


def test_a_limit_that_is_not_enforced_counts_and_says_so() -> None:
    ledger = _ledger(SharedData())
    shadow = replace(_allowance(nano_usd=300), is_enforced=False)

    within, beyond = ledger.reserve([shadow], 300, _NOW_S), ledger.reserve([shadow], 1, _NOW_S)

    assert not isinstance(within, Overdrawn)
    assert not isinstance(beyond, Overdrawn)
    assert (within[0].is_over, beyond[0].is_over) == (False, True)
    assert (within[0].free_nano_usd, beyond[0].free_nano_usd) == (0, 0)
    assert beyond[0].counted_nano_usd == 301


def test_a_renewed_reservation_lasts_and_is_settled_once() -> None:
    ledger = _ledger(SharedData())
    entries = ledger.reserve([_allowance()], 900, _NOW_S)
    assert not isinstance(entries, Overdrawn)
    first_expiry_s = entries[0].reservation.expires_s

    renewed = ledger.renew(entries[0], first_expiry_s - 10)

    assert ledger.free_nano_usd(_allowance(), first_expiry_s + 500) == 100
    ledger.settle(renewed, 250)
    assert ledger.free_nano_usd(_allowance(), _NOW_S) == 750


def test_a_clock_that_is_set_back_opens_no_account_in_a_window_that_is_over() -> None:
    store = SharedData()
    ledger = _ledger(store, slot_count=1)
    daily = Window(period=Period.DAY)
    alice = Allowance(limit="daily", subject="alice", nano_usd=100, window=daily)
    bob = replace(alice, subject="bob")
    tomorrow_s = _NOW_S + 86_400

    def spend(allowance: Allowance, nano_usd: int, now_s: int) -> None:
        entries = ledger.reserve([allowance], nano_usd, now_s)
        assert not isinstance(entries, Overdrawn)
        settle(ledger, entries, nano_usd)

    spend(alice, 100, _NOW_S)
    spend(bob, 1, tomorrow_s)
    assert [name for name, _ in every_account(next(iter(store.values.values())).value)] == ["bob"]
    spend(alice, 100, _NOW_S)

    assert isinstance(ledger.reserve([alice], 1, _NOW_S), Overdrawn)
    assert isinstance(ledger.reserve([alice], 1, tomorrow_s), Overdrawn)
