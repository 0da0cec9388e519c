"""Usage is the same whoever reports it, and wherever the answer is cut into pieces."""

import json
from collections.abc import Iterable, Mapping
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigateway import usage as usage_module
from aigateway.tokens import estimate_tokens
from aigateway.usage import Usage, UsageReader, read_usage

EVENTS = "text/event-stream; charset=utf-8"
JSON = "application/json"
WORDS = ["The", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog", "."]
TEXT = "".join(WORDS)
CUTS = st.lists(st.integers(min_value=0, max_value=5_000), max_size=12)


def chat_usage(prompt: int = 11, completion: int = 7, **more: object) -> dict[str, object]:
    total = {"total_tokens": prompt + completion}
    return {"prompt_tokens": prompt, "completion_tokens": completion} | total | more


def data(document: object) -> bytes:
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


def named(document: dict[str, object]) -> bytes:
    return f"event: {document['type']}\n".encode() + data(document)


def chunk(delta: dict[str, object], **more: object) -> bytes:
    return data({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} | more)


def chat_stream(usage: object = None, words: Iterable[str] = WORDS) -> bytes:
    events = [chunk({"role": "assistant", "content": ""}, usage=None)]
    events += [chunk({"content": word}, usage=None) for word in words]
    if usage is not None:
        events.append(data({"id": "c", "choices": [], "usage": usage}))
    return b"".join(events) + b"data: [DONE]\n\n"


def messages_stream(start: Mapping[str, object], end: Mapping[str, object]) -> bytes:
    events: list[dict[str, object]] = [
        {"type": "message_start", "message": {"id": "m", "content": [], "usage": start}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
    ]
    events += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        for word in WORDS
    ]
    events += [
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": end},
        {"type": "message_stop"},
    ]
    return b"".join(map(named, events))


def responses_stream(usage: dict[str, object]) -> bytes:
    item = {"type": "message", "content": [{"type": "output_text", "text": TEXT}]}
    events: list[dict[str, object]] = [
        {"type": "response.created", "response": {"id": "r", "usage": None, "output": []}}
    ]
    events += [{"type": "response.output_text.delta", "delta": word} for word in WORDS]
    events += [
        {"type": "response.output_text.done", "text": TEXT},
        {"type": "response.output_item.done", "item": item},
        {"type": "response.completed", "response": {"id": "r", "usage": usage, "output": [item]}},
    ]
    return b"".join(map(named, events))


ANTHROPIC_START = {
    "input_tokens": 5,
    "cache_creation_input_tokens": 100,
    "cache_read_input_tokens": 1_000,
    "output_tokens": 1,
}
RESPONSES_USAGE = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 30},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 123,
}
COMPLETE = {
    "chat": (EVENTS, chat_stream(chat_usage()), Usage(11, 7)),
    "chat, in one": (
        JSON,
        json.dumps(
            {"choices": [{"message": {"content": '"usage": {"x": 1}'}}], "usage": chat_usage()}
        ).encode(),
        Usage(11, 7),
    ),
    "text completion": (
        EVENTS,
        b"".join(data({"choices": [{"text": word}]}) for word in WORDS)
        + data({"choices": [], "usage": chat_usage()}),
        Usage(11, 7),
    ),
    "messages": (
        EVENTS,
        messages_stream(ANTHROPIC_START, {"output_tokens": 42}),
        Usage(1_105, 42, cached_input_tokens=1_000, cache_write_tokens=100),
    ),
    "messages, in one": (
        JSON,
        json.dumps(
            {
                "type": "message",
                "usage": ANTHROPIC_START | {"output_tokens": 42},
                "content": [{"type": "tool_use", "input": {"usage": chat_usage(1, 1)}}],
            }
        ).encode(),
        Usage(1_105, 42, cached_input_tokens=1_000, cache_write_tokens=100),
    ),
    "responses": (
        EVENTS,
        responses_stream(RESPONSES_USAGE),
        Usage(36, 87, cached_input_tokens=30, reasoning_tokens=64),
    ),
    "responses, in one": (
        "application/json; charset=utf-8",
        json.dumps({"object": "response", "output": [], "usage": RESPONSES_USAGE}, indent=2).encode(),
        Usage(36, 87, cached_input_tokens=30, reasoning_tokens=64),
    ),
}


def reader_of(kind: str, stream: bytes, *pieces: int, counts_output: bool = True) -> UsageReader:
    reader = UsageReader(kind, counts_output=counts_output)
    edges = sorted({0, len(stream), *[cut for cut in pieces if cut < len(stream)]})
    for begin, end in pairwise(edges):
        reader.feed(stream[begin:end])
    return reader


@pytest.mark.parametrize("case", COMPLETE)
def test_the_usage_is_found_wherever_the_answer_is_cut(case: str) -> None:
    kind, stream, expected = COMPLETE[case]

    assert reader_of(kind, stream).finish() == expected
    assert reader_of(kind, stream, *range(len(stream))).finish() == expected
    for cut in range(len(stream)):
        assert reader_of(kind, stream, cut).finish() == expected


@settings(max_examples=50)
@given(st.sampled_from(sorted(COMPLETE)), CUTS, st.booleans())
def test_the_usage_is_found_in_many_pieces(case: str, cuts: list[int], counts_output: bool) -> None:
    kind, stream, expected = COMPLETE[case]

    reader = reader_of(kind, stream, *cuts, counts_output=counts_output)

    assert reader.finish() == expected
    assert reader.so_far(input_tokens=999) == expected


@given(st.sampled_from(sorted(COMPLETE)), st.integers(min_value=0, max_value=5_000), CUTS)
def test_what_a_cut_stream_has_used_does_not_depend_on_its_pieces(
    case: str, length: int, cuts: list[int]
) -> None:
    kind, stream, _ = COMPLETE[case]
    stream = stream[:length]

    whole, pieces = reader_of(kind, stream), reader_of(kind, stream, *cuts)

    assert pieces.finish() == whole.finish()
    assert pieces.so_far(input_tokens=9) == whole.so_far(input_tokens=9)


@pytest.mark.parametrize("case", ["chat", "text completion", "messages", "responses"])
def test_a_cut_stream_costs_what_was_said_in_it(case: str) -> None:
    kind, stream, _ = COMPLETE[case]
    after_the_last_word = stream.index(b"\n\n", stream.index(b'"."')) + 2
    reader = reader_of(kind, stream[:after_the_last_word])

    used = reader.so_far(input_tokens=50)

    started_with = 1 if case == "messages" else 0
    assert reader.finish() is None
    assert used.output_tokens == len(WORDS) + started_with
    assert used.input_tokens == (1_105 if case == "messages" else 50)


@pytest.mark.parametrize("case", ["chat", "text completion", "messages", "responses"])
def test_a_stream_costs_no_less_the_longer_it_runs(case: str) -> None:
    kind, stream, _ = COMPLETE[case]
    report = stream.rindex(b"usage")

    outputs = [
        reader_of(kind, stream[:length]).so_far(input_tokens=1).output_tokens for length in range(report)
    ]

    assert outputs[0] == 0
    assert outputs == sorted(outputs)


def test_what_was_said_after_a_report_is_added_to_it() -> None:
    """Servers that report with each chunk, and such that open a stream with a report of nothing."""
    stream = chunk({"content": TEXT}) + chunk({}, usage=chat_usage(11, 9)) + chunk({"content": TEXT})

    used = reader_of(EVENTS, stream).so_far(input_tokens=1)

    assert used == Usage(11, 9 + estimate_tokens(TEXT))


def test_large_deltas_count_by_their_text_and_small_ones_as_a_token_each() -> None:
    large = chunk({"content": TEXT}) * 3
    small = b"".join(chunk({"content": character}) for character in "antidisestablishmentarianism")

    assert reader_of(EVENTS, large).so_far(input_tokens=1).output_tokens == estimate_tokens(TEXT * 3)
    assert reader_of(EVENTS, small).so_far(input_tokens=1).output_tokens == 28


def test_the_last_report_counts() -> None:
    stream = b"".join(chunk({"content": "x"}, usage=chat_usage(11, count)) for count in (1, 2, 3))
    broken = chunk({}, usage={"prompt_tokens": "many"}) + chunk({}, usage=None) + chunk({}, usage=[1])

    assert reader_of(EVENTS, stream + broken).finish() == Usage(11, 3)


def test_later_parts_of_a_messages_report_replace_earlier_ones() -> None:
    end = {"input_tokens": 6, "output_tokens": 42, "cache_read_input_tokens": 2_000}

    reader = reader_of(EVENTS, messages_stream(ANTHROPIC_START, end))

    assert reader.finish() == Usage(2_106, 42, cached_input_tokens=2_000, cache_write_tokens=100)


def test_moonshot_reports_in_its_last_choice() -> None:
    stream = chunk({"content": "x"}) + data({"choices": [{"index": 0, "delta": {}, "usage": chat_usage()}]})

    assert reader_of(EVENTS, stream).finish() == Usage(11, 7)
    assert reader_of(EVENTS, stream, counts_output=False).finish() == Usage(11, 7)


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (chat_usage(), Usage(11, 7)),
        (chat_usage(prompt_tokens_details={"cached_tokens": 4}), Usage(11, 7, cached_input_tokens=4)),
        (
            chat_usage(prompt_cache_hit_tokens=4, prompt_cache_miss_tokens=7),
            Usage(11, 7, cached_input_tokens=4),
        ),
        (chat_usage(cached_tokens=4), Usage(11, 7, cached_input_tokens=4)),
        (chat_usage(completion_tokens_details={"reasoning_tokens": 5}), Usage(11, 7, reasoning_tokens=5)),
        # xAI and Google: reasoning is in the total only.
        (
            chat_usage(12, 1, total_tokens=399, completion_tokens_details={"reasoning_tokens": 386}),
            Usage(12, 387, reasoning_tokens=386),
        ),
        (chat_usage(21, 0, total_tokens=81), Usage(21, 60)),
        # A total that does not add up is not believed.
        (chat_usage(11, 7, total_tokens=5), Usage(11, 7)),
        # Gateways that count as OpenAI does and name as Anthropic does.
        (
            chat_usage(cache_read_input_tokens=4, cache_creation_input_tokens=3),
            Usage(11, 7, cached_input_tokens=4, cache_write_tokens=3),
        ),
        ({"input_tokens": 5, "output_tokens": 6}, Usage(5, 6)),
        ({"input_tokens": 5, "output_tokens": 6, "cache_read_input_tokens": None}, Usage(5, 6)),
        ({"input_tokens": 0, "output_tokens": 6, "cache_read_input_tokens": 9}, Usage(9, 6, 9)),
        # Parts are never more than the whole.
        (chat_usage(prompt_tokens_details={"cached_tokens": 40}), Usage(11, 7, cached_input_tokens=11)),
        (
            chat_usage(cached_tokens=10, cache_creation_input_tokens=10),
            Usage(11, 7, cached_input_tokens=10, cache_write_tokens=1),
        ),
        (chat_usage(completion_tokens_details={"reasoning_tokens": 50}), Usage(11, 7, reasoning_tokens=7)),
        (chat_usage(prompt_tokens_details=None, completion_tokens_details=[]), Usage(11, 7)),
        ({"prompt_tokens": 3, "total_tokens": 3}, None),
        ({"prompt_tokens": -1, "completion_tokens": 1}, None),
        ({"prompt_tokens": 1.5, "completion_tokens": 1}, None),
        ({"prompt_tokens": True, "completion_tokens": 1}, None),
        ({"prompt_tokens": 10**30, "completion_tokens": 1}, None),
        ({}, None),
    ],
)
def test_usage_objects_of_all_providers(reported: dict[str, object], expected: Usage | None) -> None:
    assert read_usage(reported) == expected


@pytest.mark.parametrize(
    "delta",
    [
        {"content": TEXT},
        {"refusal": TEXT},
        {"reasoning_content": TEXT},
        {"reasoning": TEXT, "reasoning_content": TEXT, "reasoning_details": [{"text": TEXT}]},
        {"content": [{"type": "text", "text": TEXT}]},
        {"tool_calls": [{"index": 0, "id": "call_1", "function": {"arguments": TEXT}}]},
        {"function_call": {"arguments": TEXT}},
        {"audio": {"data": "UklGRg==", "transcript": TEXT}},
    ],
)
def test_all_that_a_model_says_is_output(delta: dict[str, object]) -> None:
    assert reader_of(EVENTS, chunk(delta)).so_far(input_tokens=1).output_tokens == estimate_tokens(TEXT)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": TEXT}},
        {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": TEXT}},
        {"type": "content_block_start", "content_block": {"type": "tool_use", "name": TEXT, "input": {}}},
        {"type": "response.reasoning_summary_text.delta", "delta": TEXT},
        {"type": "response.function_call_arguments.delta", "delta": TEXT},
    ],
)
def test_events_of_the_other_apis_are_output(event: dict[str, object]) -> None:
    assert reader_of(EVENTS, named(event)).so_far(input_tokens=1).output_tokens == estimate_tokens(TEXT)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": TEXT}},
        {"type": "response.audio.delta", "delta": TEXT},
        {"type": "response.output_audio.delta", "delta": TEXT},
        {"type": "response.output_text.done", "text": TEXT},
    ],
)
def test_what_no_model_said_is_none(event: dict[str, object]) -> None:
    assert reader_of(EVENTS, named(event)).so_far(input_tokens=1).output_tokens == 0


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": [{"message": {"role": "assistant", "content": TEXT}}]},
        {"choices": [{"text": TEXT}]},
        {"content": [{"type": "text", "text": TEXT}], "usage": {}},
        {"output": [{"type": "message", "content": [{"type": "output_text", "text": TEXT}]}], "usage": None},
    ],
)
def test_an_answer_without_usage_costs_what_it_says(answer: dict[str, object]) -> None:
    reader = reader_of(JSON, json.dumps(answer).encode())

    assert reader.finish() is None
    assert reader.so_far(input_tokens=8) == Usage(8, estimate_tokens(TEXT))


def test_an_answer_in_one_that_is_cut_costs_by_its_length() -> None:
    body = json.dumps({"choices": [{"message": {"content": "x" * 4_000}}], "usage": chat_usage()}).encode()
    reader = reader_of(JSON, body[:4_000])

    assert reader.finish() is None
    assert reader.so_far(input_tokens=8) == Usage(8, 1_000)


def test_an_answer_too_long_to_keep_costs_by_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_module, "MAX_BODY_BYTES", 1_000)
    body = json.dumps({"choices": [{"message": {"content": "x" * 900}}], "usage": chat_usage()}).encode()
    reader = reader_of(JSON, body.ljust(2_000), 500)

    assert reader.finish() is None
    assert reader.so_far(input_tokens=8) == Usage(8, 500)


def test_a_long_stream_is_counted_in_lumps() -> None:
    reader = reader_of(EVENTS, chunk({"content": TEXT}) * 1_000)

    counted = reader.so_far(input_tokens=1).output_tokens

    assert counted == pytest.approx(estimate_tokens(TEXT * 1_000), rel=0.01)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (JSON, b'{"error": {"message": "no"}}'),
        (JSON, b'{"usage": {"prompt_tokens": 1, "completion_tokens": 1}'),
        (JSON, b"[1, 2]"),
        (JSON, b"\xff\xfe"),
        (JSON, b""),
        (JSON, b'{"usage": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        (EVENTS, b"data: " + b'{"usage": ' + b'{"a":' * 100_000 + b"\n\n"),
        (EVENTS, b'data: {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}\n'),
        (EVENTS, b"data: [DONE]\n\ndata: \n\ndata\n\n: usage\n\n"),
        ("text/html", b'{"usage": {"prompt_tokens": 1, "completion_tokens": 1}}'),
    ],
)
def test_anything_else_has_no_usage(kind: str, answer: bytes) -> None:
    assert reader_of(kind, answer).finish() is None


def test_a_missing_content_type_reads_as_json() -> None:
    reader = UsageReader(None)
    reader.feed(json.dumps({"usage": chat_usage()}).encode())

    assert reader.finish() == Usage(11, 7)


def test_an_event_of_nothing_but_usage_is_told_from_the_others() -> None:
    """So that a caller that asked for it can take it out again."""
    reader = UsageReader(EVENTS)
    only_usage = json.dumps({"choices": [], "usage": chat_usage()}).encode()
    moonshot = json.dumps({"choices": [{"delta": {}, "usage": chat_usage()}]}).encode()

    told = [reader.read_event(event) for event in (b'{"choices": []}', moonshot, b"[DONE]", only_usage)]

    assert told == [False, False, False, True]
    assert reader.finish() == Usage(11, 7)
