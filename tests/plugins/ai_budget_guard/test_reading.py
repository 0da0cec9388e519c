"""What is counted late is what would have been counted at once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_budget_guard import reading
from ai_budget_guard.reading import AnswerReading
from aigateway.usage import Usage, UsageReader

_EVENTS = "text/event-stream"


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


@given(
    st.lists(st.text(max_size=12), max_size=12),
    st.lists(st.integers(0, 600), max_size=8),
    st.sampled_from([10, 100, 1_000]),
    st.sampled_from([_EVENTS, "application/json", None, "text/plain"]),
)
def test_however_it_comes_it_counts_the_same(
    texts: list[str], cuts: list[int], kept_bytes: int, kind: str | None
) -> None:
    whole = b"".join(map(event, texts))
    ends = sorted({min(cut, len(whole)) for cut in cuts} | {len(whole)})
    pieces = [whole[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
    at_once = UsageReader(kind)
    at_once.feed(whole)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "KEPT_BYTES", kept_bytes)
        late = AnswerReading(kind, strips=False)
        passed = [late.feed(piece, ends=False) for piece in pieces]

    assert b"".join(passed) == whole
    assert late.finish() is None
    assert late.so_far(input_tokens=7) == at_once.so_far(input_tokens=7)
    assert late.so_far(input_tokens=7) == at_once.so_far(input_tokens=7)


@pytest.mark.parametrize("strips", [True, False])
def test_what_is_reported_needs_no_counting(strips: bool) -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":20}}\n\n'
    answer = AnswerReading(_EVENTS, strips=strips)

    assert answer.feed(event("Hi") + usage, ends=False) == event("Hi") + (b"" if strips else usage)
    assert answer.feed(b"data: [DO", ends=True) == b"data: [DO"
    assert answer.finish() == Usage(9, 20)
