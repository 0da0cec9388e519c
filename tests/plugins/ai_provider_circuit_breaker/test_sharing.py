"""Workers that race for one breaker: no probe too many, no outcome lost."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_provider_circuit_breaker import (
    Breaker,
    BreakerState,
    Event,
    Kind,
    Permit,
    Settings,
    decode_breaker,
    encode_breaker,
)
from ai_provider_circuit_breaker.sharing import ask_for_check, ask_to_send, tell

NOW = 1_790_000_000.0
KEY = "breaker/openai"
OPEN = Breaker(state=BreakerState.OPEN, until_s=NOW, generation=1, openings=1, seen_s=NOW - 60)


class Store:
    """Shared data of which another worker makes use between any read and the write that follows it.

    Whether it does is read off *lost_races*: as many as it says, for each update in turn.
    """

    def __init__(self, value: bytes | None, lost_races: list[int]) -> None:
        self.value = value
        self.version = 0
        self.writes = 0
        self.lost_races = lost_races
        self.others: list[Callable[[], object]] = []

    def get(self, key: str) -> bytes | None:
        assert key == KEY
        return self.value

    def update(self, key: str, change: Callable[[bytes | None], bytes], *, attempts: int = 10) -> bytes:
        assert key == KEY
        races = self.lost_races.pop(0) if self.lost_races else 0
        for _ in range(attempts):
            version, read = self.version, self.value
            value = change(read)
            while races and self.others:
                races -= 1
                self.others.pop(0)()
            if value == read:
                return value
            if version == self.version:
                self.value, self.version, self.writes = value, version + 1, self.writes + 1
                return value
        raise AssertionError("every attempt was lost")


@given(
    probes=st.integers(1, 3),
    races=st.lists(st.integers(0, 3), max_size=40),
    actions=st.lists(st.sampled_from(["send", "send", "answer", "ignore", "wait"]), max_size=40),
)
def test_never_more_probes_under_way_than_allowed(probes: int, races: list[int], actions: list[str]) -> None:
    settings = Settings(probes=probes, successes=100, probe_expiry_s=60)
    store = Store(encode_breaker(OPEN, settings), races)
    under_way: list[tuple[Permit, float]] = []
    now_s = NOW
    most = 0

    def send() -> None:
        nonlocal most
        ruling = ask_to_send(store, KEY, now_s, settings)
        if ruling.permit is not None:
            under_way.append((ruling.permit, now_s + 60))
        most = max(most, len([1 for _, expiry_s in under_way if expiry_s > now_s]))

    def end(kind: Kind) -> None:
        if under_way:
            permit, _ = under_way[0]
            tell(store, KEY, permit, Event(kind), now_s=now_s, draw=0.5, settings=settings)
            # Until the breaker knows of it the probe counts as under way.
            under_way.remove(next(sent for sent in under_way if sent[0] == permit))

    deeds: dict[str, Callable[[], object]] = {
        "send": send,
        "answer": lambda: end(Kind.SUCCESS),
        "ignore": lambda: end(Kind.NOT_COUNTED),
    }
    for action in actions:
        if action == "wait":
            now_s += 45
            continue
        store.others = [send] * 3
        deeds[action]()

    assert most <= probes


@given(st.lists(st.integers(0, 4), max_size=20))
def test_of_many_that_ask_at_once_as_many_get_a_probe_as_are_allowed(races: list[int]) -> None:
    settings = Settings(probes=2)
    store = Store(encode_breaker(OPEN, settings), races)
    given_out: list[Permit] = []
    transitions = []

    def send() -> None:
        ruling = ask_to_send(store, KEY, NOW, settings)
        if ruling.permit is not None:
            given_out.append(ruling.permit)
        if ruling.transition is not None:
            transitions.append(ruling.transition)

    store.others = [send] * 8
    send()
    for other in store.others:
        other()

    assert len(given_out) == len(set(given_out)) == 2
    assert len(transitions) == 1


@given(st.lists(st.integers(0, 4), max_size=30))
def test_no_failure_is_lost(races: list[int]) -> None:
    settings = Settings(failures=10, failure_rate=0)
    store = Store(None, races)

    def fail() -> None:
        tell(store, KEY, Permit(0), Event(Kind.FAILURE), now_s=NOW, draw=0.0, settings=settings)

    store.others = [fail] * 8
    fail()
    while store.others:
        store.others.pop(0)()
    assert decode_breaker(store.value).failures == 9

    fail()

    assert decode_breaker(store.value).state is BreakerState.OPEN


@given(st.lists(st.integers(0, 4), max_size=20))
def test_one_worker_alone_gets_to_check(races: list[int]) -> None:
    settings = Settings(check_s=5)
    store = Store(encode_breaker(OPEN, settings), races)
    checks = []

    def check() -> None:
        checks.append(ask_for_check(store, KEY, NOW, settings).permit)

    store.others = [check] * 8
    check()
    while store.others:
        store.others.pop(0)()

    assert len([permit for permit in checks if permit is not None]) == 1


def test_requests_to_a_provider_that_works_write_nothing() -> None:
    settings = Settings()
    store = Store(None, [])
    assert ask_to_send(store, KEY, NOW, settings).permit == Permit(0)
    assert ask_for_check(store, KEY, NOW, settings).permit is None
    assert store.value is None

    store.value = encode_breaker(Breaker(generation=7, failures=2), settings)

    assert ask_to_send(store, KEY, NOW, settings).permit == Permit(7)
    assert store.writes == 0


@pytest.mark.parametrize("value", [b"", b"garbage", b'{"state":"closed","until_s":0.0}\n{"generation":x'])
def test_a_damaged_value_is_a_breaker_that_knows_nothing(value: bytes) -> None:
    store = Store(value, [])

    assert ask_to_send(store, KEY, NOW, Settings()).permit == Permit(0)
    assert decode_breaker(store.value) == Breaker()
