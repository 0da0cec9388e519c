"""The roll of those who have reservations: who is gone is given up, and nobody else."""

from collections.abc import Mapping

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ai_budget_guard.owners import (
    EMPTY,
    SILENT_BEATS,
    Heard,
    Roll,
    beat,
    decode_roll,
    encode_roll,
    listen,
    sign_out,
)

_NOW_S = 1_800_000_000


def _signed_in(*owners: str) -> Roll:
    roll = EMPTY
    for owner in owners:
        roll = beat(roll, owner, 0, {}, _NOW_S)
    return roll


def _listened(roll: Roll, ticks: int, heard: Mapping[str, Heard] | None = None) -> Mapping[str, Heard]:
    for _ in range(ticks):
        heard = listen(roll, heard or {})
    return heard or {}


def test_who_stays_silent_is_given_up() -> None:
    roll = _signed_in("a", "b")

    patient = beat(roll, "a", 7, _listened(roll, SILENT_BEATS), _NOW_S)
    done = beat(roll, "a", 7, _listened(roll, SILENT_BEATS + 1), _NOW_S)

    assert set(patient.present) == {"a", "b"}
    assert set(done.present) == {"a"}
    assert set(done.lost) == {"b"}
    assert done.reserved_nano_usd == 7


def test_one_beat_is_enough_even_if_it_comes_between_reading_and_writing() -> None:
    roll = _signed_in("a", "b")
    heard = _listened(roll, 100)

    later = beat(beat(roll, "b", 0, {}, _NOW_S), "a", 0, heard, _NOW_S)

    assert set(later.present) == {"a", "b"}
    assert listen(later, heard)["b"].silent_for == 0


def test_who_has_nothing_reserved_gives_up_others_and_does_not_sign_in() -> None:
    roll = _signed_in("a")

    assert beat(roll, None, 0, _listened(roll, SILENT_BEATS + 1), _NOW_S).present == {}


def test_who_was_given_up_stays_so_for_as_long_as_a_reservation_lasts() -> None:
    roll = _signed_in("a", "b")
    roll = beat(roll, "a", 0, _listened(roll, SILENT_BEATS + 1), _NOW_S)

    assert set(beat(roll, "b", 0, {}, _NOW_S).present) == {"a"}
    assert set(beat(roll, "a", 0, {}, _NOW_S + 86_400).lost) == {"b"}
    assert beat(roll, "a", 0, {}, _NOW_S + 2 * 86_400).lost == {}


def test_whoever_leaves_is_not_missed() -> None:
    roll = sign_out(_signed_in("a", "b"), "b")

    assert beat(roll, "a", 0, _listened(roll, 100), _NOW_S).lost == {}


def test_a_roll_is_bounded_and_comes_back_as_it_was_written() -> None:
    roll = _signed_in(*(f"{number:x}" for number in range(400)))
    roll = beat(roll, "me", 168_000, _listened(roll, SILENT_BEATS + 1), _NOW_S)

    assert len(roll.lost) == 256
    assert decode_roll(encode_roll(roll)) == roll


def test_a_value_that_is_none_of_ours_is_an_empty_roll() -> None:
    for value in (None, b"", b"\xff", b"a|b|c\n", b"a|1\n", b"-a\n"):
        assert decode_roll(value) == EMPTY


class Workers(RuleBasedStateMachine):
    """Any number of workers that tick in any order, and die."""

    def __init__(self) -> None:
        super().__init__()
        self.value: bytes | None = None
        self.heard: dict[str, Mapping[str, Heard]] = {"0": {}, "1": {}, "2": {}}
        self.ticks_since: dict[tuple[str, str], int] = {}

    @rule(owner=st.sampled_from(["0", "1", "2"]))
    def tick(self, owner: str) -> None:
        if owner in decode_roll(self.value).lost:
            return
        roll = decode_roll(self.value)
        self.heard[owner] = listen(roll, self.heard[owner])
        self.value = encode_roll(beat(roll, owner, 0, self.heard[owner], _NOW_S))
        for other in self.heard:
            self.ticks_since[owner, other] = self.ticks_since.get((owner, other), 0) + 1
            self.ticks_since[other, owner] = 0

    @invariant()
    def nobody_is_given_up_too_early(self) -> None:
        for lost in decode_roll(self.value).lost:
            assert max(self.ticks_since[other, lost] for other in self.heard if other != lost) > SILENT_BEATS


TestWorkers = Workers.TestCase
