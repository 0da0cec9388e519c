"""Requests to models get signals; all others pass or are refused, and nothing does harm."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_nexus_classifier import Config, examine, wants_body
from ai_nexus_classifier.intake import refuses_too_large
from aigateway.refusals import InvalidRequestError

CONFIG = Config()
PASSING = Config.from_json({"on_invalid": "pass", "on_too_large": "pass"})
PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/llm")

SIGNALS = {
    "x-ai-complexity": r"[01]\.\d{4}",
    "x-ai-domain": r"code|medical|legal|general",
    "x-ai-latency": r"realtime|batch",
    "x-ai-prompt-tokens": r"\d+",
    "x-ai-max-tokens": r"\d+",
    "x-ai-requested-model": r"[!-~]{1,256}",
    "x-ai-needs": r"(vision|audio|tools|json|stream)(,(audio|tools|json|stream))*",
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            [
                "text",
                "input_text",
                "image_url",
                "image",
                "input_audio",
                "file",
                "document",
                "tool_use",
                "tool_result",
                "refusal",
                "thinking",
                "function_call",
                "function_call_output",
                "message",
            ]
        )
        | JSON,
        **dict.fromkeys(
            ["text", "image_url", "input_audio", "source", "content", "function", "input", "output", "role"],
            JSON,
        ),
    },
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["system", "user", "assistant", "tool"]) | JSON,
        "content": st.text(max_size=50) | st.lists(PARTS | JSON, max_size=4) | JSON,
        "tool_calls": st.lists(PARTS | JSON, max_size=3) | JSON,
        "function_call": JSON,
        "type": JSON,
    },
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "model": st.text(max_size=300) | JSON,
        "messages": st.lists(MESSAGES | JSON, max_size=4) | JSON,
        "prompt": st.text() | st.lists(st.text() | st.integers() | JSON, max_size=4) | JSON,
        "input": st.text() | st.lists(PARTS | MESSAGES | JSON, max_size=4) | JSON,
        "system": st.text() | st.lists(PARTS, max_size=2) | JSON,
        "instructions": st.text() | JSON,
        "stream": st.booleans() | JSON,
        "max_tokens": st.integers() | JSON,
        "max_output_tokens": st.integers() | JSON,
        "tools": st.lists(JSON, max_size=3) | JSON,
        "functions": JSON,
        "modalities": JSON,
        "response_format": st.fixed_dictionaries({"type": st.just("json_object")}) | JSON,
        "output_format": JSON,
        "text": JSON,
    },
)


def chat(text: object, **more: object) -> bytes:
    return json.dumps({"model": "auto", "messages": [{"role": "user", "content": text}]} | more).encode()


def refusal(path: str, body: bytes) -> tuple[int, str]:
    with pytest.raises(InvalidRequestError) as raised:
        examine(path, body, CONFIG)
    return raised.value.refusal.status, raised.value.refusal.message


def test_a_request_gets_its_signals() -> None:
    body = chat(
        "患者胸痛三小时，如何诊断？", stream=True, max_tokens=100, response_format={"type": "json_object"}
    )

    values = examine("/v1/chat/completions", body, CONFIG)

    tokens = int(values["x-ai-prompt-tokens"])
    assert 15 < tokens < 40
    assert values == {
        "x-ai-complexity": values["x-ai-complexity"],
        "x-ai-domain": "medical",
        "x-ai-latency": "realtime",
        "x-ai-prompt-tokens": str(tokens),
        "x-ai-max-tokens": "100",
        "x-ai-requested-model": "auto",
        "x-ai-needs": "json,stream",
    }


def test_signals_without_a_value_are_absent() -> None:
    values = examine("/v1/completions", b'{"prompt": "Once upon a time"}', CONFIG)

    assert set(values) == {"x-ai-complexity", "x-ai-domain", "x-ai-latency", "x-ai-prompt-tokens"}


def test_a_model_name_cannot_break_a_header() -> None:
    values = examine("/v1/chat/completions", chat("Hi", model="a\r\nx-ai-tier: strong"), CONFIG)

    assert values["x-ai-requested-model"] == "a%0D%0Ax-ai-tier:%20strong"


@pytest.mark.parametrize("text", ["Why does my Python function fail?", "请分析这份合同的违约条款", "hi"])
def test_the_same_request_gets_the_same_verdict_in_every_format(text: str) -> None:
    part = {"type": "text", "text": text}
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": text}]}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": [part]}]}),
        ("/v1/completions", {"prompt": text}),
        ("/v1/completions", {"prompt": [text]}),
        ("/v1/responses", {"input": text}),
        (
            "/v1/responses",
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": text}]}]},
        ),
        ("/v1/messages", {"messages": [{"role": "user", "content": text}]}),
        ("/anthropic/v1/messages", {"messages": [{"role": "user", "content": [part]}]}),
        ("/my/llm", {"messages": [{"role": "user", "content": text}]}),
        ("/my/llm", {"input": [{"role": "user", "content": text}]}),
        ("/my/llm", {"prompt": text}),
    ]

    verdicts = [dict(examine(path, json.dumps(body).encode(), CONFIG)) for path, body in requests]
    tokens = [int(verdict.pop("x-ai-prompt-tokens")) for verdict in verdicts]

    assert all(verdict == verdicts[0] for verdict in verdicts)
    assert set(verdicts[0]) == {"x-ai-complexity", "x-ai-domain", "x-ai-latency"}
    frame = max(tokens) - min(tokens)  # A completion has none.
    assert frame == 7
    assert set(tokens) == {max(tokens), min(tokens)}


def test_instructions_beside_and_among_the_messages_are_the_same() -> None:
    beside = {"system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]}
    among = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}

    assert examine("/v1/messages", json.dumps(beside).encode(), CONFIG) == examine(
        "/v1/chat/completions", json.dumps(among).encode(), CONFIG
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The request body is not valid JSON: expected a JSON object, got an empty body"),
        (b"[1]", "The request body: expected an object, got an array"),
        (b'"text"', "The request body: expected an object, got a string"),
        (b"{}", "messages: expected an array of messages, got nothing"),
        (chat(7), "messages[0].content: expected a string or an array of content parts, got a number"),
    ],
)
def test_what_no_model_could_answer_is_refused_on_a_known_path(body: bytes, message: str) -> None:
    assert refusal("/v1/chat/completions", body) == (400, message)
    assert examine("/v1/chat/completions", body, PASSING) == {}
    assert examine("/elsewhere", body, CONFIG) == {}


@pytest.mark.parametrize(
    "body",
    [
        b'{"input": "to embed", "model": "text-embedding-3-small"}',
        b'{"size": 5}',
        b"<html>",
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
)
def test_what_is_no_request_to_a_model_passes_elsewhere(body: bytes) -> None:
    assert examine("/elsewhere", body, CONFIG) == {}


@pytest.mark.parametrize(
    ("method", "path", "headers", "wanted"),
    [
        ("POST", "/v1/chat/completions", {"content-type": "application/json"}, True),
        ("POST", "/v1/chat/completions", {"content-encoding": "identity"}, True),
        ("POST", "/v1/chat/completions", {"content-encoding": "gzip"}, False),
        ("POST", "/v1/embeddings", {"content-type": "application/json"}, False),
        ("POST", "/v1/embeddings", {"x-ai-prompt-tokens": "5"}, False),
        ("GET", "/v1/chat/completions", {}, False),
    ],
)
def test_only_bodies_that_can_be_read_are_waited_for(
    method: str, path: str, headers: dict[str, str], wanted: bool
) -> None:
    assert wants_body(method, path, headers) is wanted


def test_a_large_body_is_refused_where_it_would_be_read() -> None:
    assert refuses_too_large("/v1/chat/completions", CONFIG)
    assert not refuses_too_large("/upload", CONFIG)
    assert not refuses_too_large("/v1/chat/completions", PASSING)


@pytest.mark.parametrize(
    "body",
    [
        chat("x" * 15_000_000),
        chat("分析" * 2_000_000),
        chat('\\"' * 1_000_000),
        chat("\ud800\0\x7f" * 1_000),
        chat([{"type": "text", "text": "x"}] * 50_000),
        chat([{"type": "image_url", "image_url": {"url": "data:" + "A" * 10_000_000}}]),
        json.dumps({"messages": [{"role": "user", "content": "hi"}] * 10_000}).encode(),
        json.dumps({"messages": [{"role": "tool", "content": "x" * 1_000}] * 10_000}).encode(),
        chat("Hi", tools=[{"function": {"parameters": {"a": {"b": {"c": {}}}}}}] * 5_000),
        chat("Hi", max_tokens=1, metadata={f"key{index}": index for index in range(3_000)}),
        chat("Hi", logit_bias={"1": 10**4_000}),
        b'{"messages": [{"role": "user", "content": "a", "content": "b"}], "model": "a", "model": "b"}',
    ],
)
def test_large_and_odd_requests_get_signals_all_the_same(body: bytes) -> None:
    values = examine("/v1/chat/completions", body, CONFIG)

    assert_headers(values)
    assert values


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"messages":' * 100_000,
        b'{"messages": [{"role": "user", "content": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]}",
        b'{"a": ' + b"9" * 100_000 + b"}",
        b'{"messages": [' + b"{}," * 2_000_000 + b"{}]}",
        b"{" + b",".join(b'"%d": 0' % index for index in range(200_000)) + b"}",
        b'"' * 1_000_001,
        b"\\" * 1_000_001,
        b'{"messages": NaN}',
        b"\x00" * 1_000,
        b"\xc3\x28",
    ],
)
def test_attacks_are_refused(body: bytes) -> None:
    status, message = refusal("/v1/chat/completions", body)

    assert status == 400
    assert len(message) < 200


def assert_headers(values: object) -> None:
    assert isinstance(values, dict)
    for name, value in values.items():
        assert re.fullmatch(SIGNALS[name], value), (name, value)


@given(REQUESTS | JSON, st.sampled_from(PATHS))
def test_any_json_gets_valid_signals_or_a_clear_refusal(value: object, path: str) -> None:
    body = json.dumps(value).encode()

    assert_headers(examine(path, body, PASSING))
    try:
        values = examine(path, body, CONFIG)
    except InvalidRequestError as error:
        answer = error.refusal.to_json()["error"]
    else:
        assert_headers(values)
        answer = {"message": "", "type": "invalid_request_error"}
    assert answer["type"] == "invalid_request_error"


@given(st.binary(max_size=300), st.sampled_from(PATHS))
def test_any_bytes_pass_when_configured_to(body: bytes, path: str) -> None:
    assert_headers(examine(path, body, PASSING))


def test_the_decision_is_a_library_without_a_proxy() -> None:
    script = "import sys, ai_nexus_classifier; print([m for m in sys.modules if m.startswith('proxywasm')])"

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
