"""Accounts as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_budget_guard.accounts import EMPTY, Account, Hold
from ai_budget_guard.slots import CorruptSlotError, closed_nano_usd, every_account, find, put

amounts = st.integers(0, 10**18)
times = st.integers(0, 2**33)
subjects = st.text(max_size=20)
holds = st.builds(Hold, st.text("0123456789abcdef", min_size=1, max_size=8), times, times, amounts)
accounts = st.builds(
    Account,
    window_s=times,
    counts_from_s=times,
    spent=st.lists(st.tuples(times, amounts), max_size=4).map(tuple),
    holds=st.lists(holds, max_size=4).map(tuple),
    lifetime_nano_usd=amounts,
)


@given(st.lists(st.tuples(subjects, accounts), max_size=8))
def test_what_was_put_is_found_again_and_nothing_else_moves(changes: list[tuple[str, Account]]) -> None:
    slot, expected, closed = None, {}, 0
    for subject, account in changes:
        slot = put(slot, subject, account)
        expected[subject] = account
        if account.is_idle:
            closed += expected.pop(subject).lifetime_nano_usd

    assert dict(every_account(slot)) == expected
    assert closed_nano_usd(slot) == closed
    for subject, account in expected.items():
        assert find(slot, subject) == account


def test_a_subject_is_not_found_within_another() -> None:
    account = Account(spent=((0, 5),), lifetime_nano_usd=5)
    slot = put(put(None, "alice", account), "li", Account(spent=((0, 7),)))

    assert find(slot, "ice") == find(slot, "al") == find(slot, "alice|5") == EMPTY
    assert find(slot, "alice") == account


@pytest.mark.parametrize("subject", ["a|b", "a\nb", "a:b,c", "", "%", "é中", "\ud800"])
def test_any_subject_is_safe(subject: str) -> None:
    account = Account(spent=((0, 5),), lifetime_nano_usd=5)

    assert find(put(None, subject, account), subject) == account


@pytest.mark.parametrize(
    "slot", [b"x\n", b"0|0\n", b"0|0|0\nalice|1|2\n", b"0|0|0\nalice|a|1|1||\n", b"0|0|0\nalice|1|1|1||"]
)
def test_a_value_that_is_not_ours_is_refused_without_being_repeated(slot: bytes) -> None:
    with pytest.raises(CorruptSlotError) as caught:
        put(slot, "alice", Account(lifetime_nano_usd=find(slot, "alice").lifetime_nano_usd))

    assert "alice" not in str(caught.value)
