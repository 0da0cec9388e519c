"""Only the events with nothing but usage are taken out, however a stream is cut and its lines end."""

import json

from hypothesis import given
from hypothesis import strategies as st

from ai_budget_guard.stripping import UsageStripper
from aigateway.usage import Usage, UsageReader

_ENDS = ("\n", "\r\n", "\r")
_USAGE = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 20}}
_OTHERS = (
    'data: {"choices":[{"delta":{"content":"Hi"}}],"usage":null}',
    'data: {"choices":[],"usage":null}',
    'data: {"choices":[{"delta":{}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}',
    "data: [DONE]",
    "data: {broken",
    "event: ping",
    ": comment",
    "data: one@data: two",
    "",
)


@given(
    st.lists(st.sampled_from((*_OTHERS, None)), max_size=6),
    st.sampled_from(_ENDS),
    st.sampled_from(("", "data: unfinished", 'data: {"choices":[],"usage":{"prompt_tokens":1')),
    st.data(),
)
def test_every_other_byte_passes(events: list[str | None], end: str, rest: str, data: st.DataObject) -> None:
    def written(event: str | None) -> str:
        text = f"data: {json.dumps(_USAGE)}" if event is None else event
        return text.replace("@", end) + end + end

    # Blank lines before an event are part of it: an empty event right before one would go with it.
    kept = [event for at, event in enumerate(events) if event != "" or None not in events]
    whole = ("".join(map(written, kept)) + rest).encode()
    expected = ("".join(written(event) for event in kept if event is not None) + rest).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[begin:stop] for begin, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    reader = UsageReader("text/event-stream")
    stripper = UsageStripper(reader)

    passed = [stripper.feed(piece, ends=False) for piece in pieces]
    passed.append(stripper.feed(b"", ends=True))

    assert b"".join(passed) == expected
    if kept and kept[-1] is None:
        assert reader.finish() == Usage(9, 20)


def test_what_is_complete_passes_at_once() -> None:
    stripper = UsageStripper(UsageReader("text/event-stream"))

    assert stripper.feed(b"data: a\n\ndata: b", ends=False) == b"data: a\n\n"
    assert stripper.feed(b"\n\n", ends=False) == b"data: b\n\n"
