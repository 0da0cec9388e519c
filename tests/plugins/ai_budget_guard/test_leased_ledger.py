"""The leased ledger by itself: what it asks of the store, and many requests at once."""

from collections import Counter
from collections.abc import Coroutine, Generator, Sequence
from types import coroutine
from typing import TypeVar

import pytest
from redis import Redis

from ai_budget_guard.central import CentralError
from ai_budget_guard.leased_ledger import LeasedLedger
from ai_budget_guard.leasing import Outage
from ai_budget_guard.ledger import Allowance, Entry, Ledger, Overdrawn
from ai_budget_guard.ledger_config import RedisLedger
from ai_budget_guard.limits import Limit, Per
from ai_budget_guard.line import Line
from aigateway.windows import TOTAL

from .test_ledger import SharedData

Result = TypeVar("Result")

NOW_S = 1_790_000_000


class CountingStore(SharedData):
    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def get_versioned(self, key: str):  # type: ignore[no-untyped-def]
        self.calls["get"] += 1
        return super().get_versioned(key)

    def create(self, key: str, value: bytes) -> bool:
        self.calls["set"] += 1
        return super().create(key, value)

    def compare_and_set(self, key: str, value: bytes, version: int) -> bool:
        self.calls["set"] += 1
        return super().compare_and_set(key, value, version)


@coroutine
def _pause() -> Generator[None, None, None]:
    yield


class Direct:
    """Redis without a network; every command takes one step of whoever waits for it."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.commands = 0
        self.is_away = False

    async def command(self, parts: Sequence[str]) -> object:
        self.commands += 1
        await _pause()
        if self.is_away:
            raise CentralError("away")
        if parts[0] == "EVALSHA":
            raise CentralError("unknown", "NOSCRIPT")
        count = int(parts[2])
        return self.redis.eval(parts[1], count, *parts[3:])


class Gateway:
    """One worker of one proxy."""

    def __init__(self, redis: Redis, *limits: Limit, **settings: object) -> None:
        self.store = CountingStore()
        self.central = Direct(redis)
        self.counts: Counter[str] = Counter()
        self.now_s = NOW_S
        chosen = RedisLedger(cluster="-", **settings)  # type: ignore[arg-type]
        line = Line(
            self.store,
            self.central,
            chosen,
            name_key="lease/gateway",
            new_name=f"{id(self):016x}",
            clock=lambda: self.now_s,
            note=lambda is_away: None,
        )
        self.ledger = LeasedLedger(
            self.store,
            line,
            settings=chosen,
            limits={limit.name: limit for limit in limits},
            owner="vm",
            slot_count=4,
            lasts_s=600,
            clock=lambda: self.now_s,
            count=lambda what, amount: self.counts.update({what: amount}),
        )


def finish(task: Coroutine[object, object, Result]) -> Result:
    (result,) = together([task])
    return result


def together(tasks: Sequence[Coroutine[object, object, Result]]) -> list[Result]:
    """Run coroutines a step each in turn, until all have ended."""
    results: dict[int, Result] = {}
    while len(results) < len(tasks):
        for index, task in enumerate(tasks):
            if index in results:
                continue
            try:
                task.send(None)
            except StopIteration as end:
                results[index] = end.value
    return [results[index] for index in range(len(tasks))]


EACH = Limit(name="each", per=Per.CONSUMER, nano_usd=1_000)


def allowance(limit: Limit = EACH) -> Allowance:
    return Allowance(limit=limit.name, subject="alice", nano_usd=limit.nano_usd, window=TOTAL)


def test_a_request_that_its_lease_covers_asks_the_store_no_more_than_with_the_embedded_ledger(
    redis: Redis,
) -> None:
    gateway = Gateway(redis, EACH, lease_percent=50)
    for _ in range(4):
        finish(gateway.ledger.reserve([allowance()], 50, NOW_S))
    commands = gateway.central.commands
    gateway.store.calls.clear()
    store = CountingStore()
    embedded = Ledger(store, owner="vm", slot_count=4, lasts_s=600)
    embedded.reserve([allowance()], 50, NOW_S)
    store.calls.clear()

    leased_entries = finish(gateway.ledger.reserve([allowance()], 10, NOW_S))
    entries = embedded.reserve([allowance()], 10, NOW_S)
    assert isinstance(leased_entries, tuple)
    assert isinstance(entries, tuple)
    gateway.ledger.settle(leased_entries[0], 7)
    embedded.settle(entries[0], 7)

    assert gateway.central.commands == commands
    assert gateway.store.calls == store.calls == {"get": 2, "set": 2}


@pytest.mark.parametrize("lease_percent", [0, 1, 50])
def test_many_requests_at_once_are_admitted_to_the_last_unit_in_few_rounds(
    redis: Redis, lease_percent: float
) -> None:
    gateway = Gateway(redis, EACH, lease_percent=lease_percent)

    results = together([gateway.ledger.reserve([allowance()], 20, NOW_S) for _ in range(64)])

    admitted = [result for result in results if isinstance(result, tuple)]
    assert len(admitted) == 50
    assert sum(isinstance(result, Overdrawn) for result in results) == 14
    assert gateway.counts["leases_asked"] <= 3 * 64
    for (entry,) in admitted:
        gateway.ledger.settle(entry, 20)
    gateway.now_s += 5
    finish(gateway.ledger.tick())
    assert redis.hget("nexus:budget:each:alice", "spent:0") == "1000"


def test_gateways_give_one_another_what_is_wanted(redis: Redis) -> None:
    holder, asker = Gateway(redis, EACH, lease_percent=100), Gateway(redis, EACH, lease_percent=100)
    entries: list[Entry] = []
    for _ in range(4):
        result = finish(holder.ledger.reserve([allowance()], 100, NOW_S))
        assert isinstance(result, tuple)
        entries += result
    for entry in entries:
        holder.ledger.settle(entry, 50)

    refused = finish(asker.ledger.reserve([allowance()], 790, NOW_S))
    finish(holder.ledger.tick())
    finish(holder.ledger.tick())

    assert isinstance(refused, Overdrawn)
    assert isinstance(finish(asker.ledger.reserve([allowance()], 790, NOW_S)), tuple)
    assert not isinstance(refused, Outage)


def test_a_tick_tells_of_many_accounts_in_few_calls(redis: Redis) -> None:
    gateway = Gateway(redis, EACH)
    people = [
        Allowance(limit="each", subject=f"person-{number}", nano_usd=1_000, window=TOTAL)
        for number in range(130)
    ]
    for person in people:
        result = finish(gateway.ledger.reserve([person], 20, NOW_S))
        assert isinstance(result, tuple)
        gateway.ledger.settle(result[0], 11)
    before = gateway.central.commands
    gateway.now_s += 2

    finish(gateway.ledger.tick())

    assert gateway.central.commands - before == 2 * 3  # Each is first tried by its digest here.
    assert {redis.hget(f"nexus:budget:each:{person.subject}", "spent:0") for person in people} == {"11"}
    assert gateway.counts["reports"] == 130
    finish(gateway.ledger.tick())
    assert gateway.counts["reports"] == 130


@pytest.mark.parametrize(("on_lost_lease", "after_s"), [("charge", 600), ("return", 19)])
def test_a_lease_is_spent_without_redis_for_as_long_as_nobody_else_may(
    redis: Redis, on_lost_lease: str, after_s: int
) -> None:
    gateway = Gateway(
        redis, EACH, lease_percent=50, on_lost_lease=on_lost_lease, lease_s=30, on_redis_away="fail_closed"
    )
    for _ in range(4):
        assert isinstance(finish(gateway.ledger.reserve([allowance()], 50, NOW_S)), tuple)
    gateway.central.is_away = True

    gateway.now_s += after_s
    assert isinstance(finish(gateway.ledger.reserve([allowance()], 10, gateway.now_s)), tuple)

    gateway.now_s += 3
    late = finish(gateway.ledger.reserve([allowance()], 10, gateway.now_s))
    assert isinstance(late, tuple) if on_lost_lease == "charge" else late is Outage.AWAY
