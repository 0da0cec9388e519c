"""What the two filters tell each other survives the way, and what is no attempt is none."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_provider_circuit_breaker import Permit
from ai_provider_circuit_breaker.handover import Attempt, decode_attempt, encode_attempt
from aigateway.chat import Format

ATTEMPTS = st.builds(
    Attempt,
    number=st.integers(1, 20),
    tried=st.lists(st.text(max_size=20), max_size=5).map(tuple),
    permit=st.builds(Permit, st.integers(0, 10**9), st.integers(0, 10**6)),
    is_settled=st.booleans(),
    format=st.sampled_from([None, *Format]),
    began_s=st.floats(0, 2e9),
    limit_s=st.floats(0, 1e5),
    prompt_tokens=st.integers(0, 10**9),
    max_tokens=st.none() | st.integers(0, 10**9),
    failed=st.lists(st.text(max_size=20), max_size=5).map(tuple),
    spent_nano_usd=st.integers(0, 10**15),
    path_prefix=st.sampled_from(["", "/v1beta/openai"]),
    status=st.sampled_from([0, 400]),
    cause=st.sampled_from(["", "timeout"]),
    wait_s=st.integers(0, 3600),
)


@given(ATTEMPTS)
def test_an_attempt_is_read_as_it_was_written(attempt: Attempt) -> None:
    assert decode_attempt(encode_attempt(attempt)) == attempt


@pytest.mark.parametrize("value", [None, b"", b"nonsense", b"[]", b"{}", b"[1]", b"7", b"\xff"])
def test_what_is_no_attempt_is_none(value: bytes | None) -> None:
    assert decode_attempt(value) is None


@given(ATTEMPTS, st.integers(0, 15), st.sampled_from([None, "x", [], {}, True]))
def test_a_damaged_one_does_not_raise(attempt: Attempt, place: int, value: object) -> None:
    members = json.loads(encode_attempt(attempt))
    members[place] = value

    assert isinstance(decode_attempt(json.dumps(members).encode()), Attempt | None)


def test_the_next_one_keeps_what_holds_for_the_chain() -> None:
    attempt = Attempt(number=1, tried=("a/x",), format=Format.CHAT, began_s=5.0, permit=Permit(3, 1))
    attempt = replace(attempt, limit_s=60, prompt_tokens=7, max_tokens=9)

    following = attempt.after(("a/x", "b/y"), "timeout", permit=Permit(9), failed=("a/x",), spent_nano_usd=4)

    assert following == Attempt(
        number=2,
        tried=("a/x", "b/y"),
        permit=Permit(9),
        format=Format.CHAT,
        began_s=5.0,
        limit_s=60,
        prompt_tokens=7,
        max_tokens=9,
        failed=("a/x",),
        spent_nano_usd=4,
        cause="timeout",
    )
    assert attempt.settled().is_settled
    assert not following.is_settled
