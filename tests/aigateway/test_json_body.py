"""JSON of strangers is decoded without harm, or refused with a reason."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigateway.json_body import MAX_DEPTH, MAX_DISTINCT_KEYS, MAX_VALUES, decode_json
from aigateway.refusals import InvalidRequestError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


def refusal(body: bytes) -> str:
    with pytest.raises(InvalidRequestError) as raised:
        decode_json(body)
    assert raised.value.refusal.status == 400
    assert raised.value.refusal.code == "invalid_json"
    return raised.value.refusal.message


@given(JSON)
def test_what_json_writes_is_read_back(value: object) -> None:
    assert decode_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidRequestError):
        decode_json(body)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "expected a JSON object, got an empty body"),
        (b" \r\n\t", "expected a JSON object, got an empty body"),
        (b'{"a": 1,}', "line 1, column"),
        (b'{"a": \xff}', "byte 6 cannot be decoded"),
        ('{"a": "ü"}'.encode("latin-1"), "not UTF-8"),
        (b'{"a": NaN}', "NaN is not a JSON value"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON value"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"a": "x\ny"}', "Invalid control character"),
        (b'{"a": "x', "Unterminated string"),
        (b'{"a": 1} {"b": 2}', "Extra data"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
    ],
)
def test_what_is_wrong_is_said(body: bytes, why: str) -> None:
    assert why in refusal(body)


def test_a_refusal_never_shows_the_body() -> None:
    assert "secret" not in refusal(b'{"password": "secret", oops}')


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b'[{"a":' * 50_000,
        b'["\\\\",' + b"[" * 100_000,
        b'["\\"]]]]", ' + b"[" * 1_000 + b"]" * 1_001,
        b'{"' + b"]" * 2_000 + b'": ' + b"[" * 1_000 + b"]" * 1_000 + b"}",
    ],
)
def test_deep_nesting_is_refused_before_it_is_decoded(body: bytes) -> None:
    assert "levels deep" in refusal(body)


def test_the_depth_allowed_is_exact() -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert decode_json(b'{"text": "' + b"[" * 50 + b'"}') == {"text": "[" * 50}
    assert decode_json(deepest) is not None
    assert "levels deep" in refusal(b"[" + deepest + b"]")


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert decode_json(b"[" + b"[]," * 5_000 + b"{}]") == [[]] * 5_000 + [{}]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10_000,
        '\\"[' * 1_000,
        "\\" * 999 + "[" * 1_000,
        '"' * 1_001 + "{" * 1_000,
        "]}" * 1_000 + "[{" * 1_000,
        "key: value, " * 10_000,
    ],
)
def test_brackets_and_colons_inside_strings_do_not_count(text: str) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()

    assert decode_json(body) == {"messages": [{"role": "user", "content": text}]}


@pytest.mark.parametrize("piece", [b"[],", b"{},", b"0,", b'"",'])
def test_a_body_of_too_many_values_is_refused(piece: bytes) -> None:
    assert f"more than {MAX_VALUES} values" in refusal(b"[" + piece * (MAX_VALUES + 1) + b"0]")


def test_commas_in_a_long_text_are_not_values() -> None:
    text = "a, " * (MAX_VALUES + 1)

    assert decode_json(json.dumps({"prompt": text}).encode()) == {"prompt": text}


def test_a_prompt_of_many_token_ids_is_fine() -> None:
    assert decode_json(b"[" + b"17," * 200_000 + b"0]") == [17] * 200_000 + [0]


def test_too_many_different_keys_are_refused() -> None:
    body = json.dumps({f"key{index}": index for index in range(MAX_DISTINCT_KEYS + 1)}).encode()

    assert f"more than {MAX_DISTINCT_KEYS} different keys" in refusal(body)


def test_the_same_keys_may_come_as_often_as_they_like() -> None:
    items = [{"role": "user", "content": "x"}] * 20_000

    assert decode_json(json.dumps(items).encode()) == items


def test_keys_that_differ_in_escapes_only_are_told_apart() -> None:
    keys = ['"' * index for index in range(100)] + ["\\" * index for index in range(1, 100)]
    value = [dict.fromkeys(keys, 1)] + [{"x": 0}] * 5_000

    assert decode_json(json.dumps(value).encode()) == value


def test_a_byte_order_mark_and_duplicate_keys_are_accepted() -> None:
    assert decode_json(b'\xef\xbb\xbf{"a": 1, "a": 2}') == {"a": 2}


def test_lone_surrogates_and_nuls_are_text() -> None:
    assert decode_json(b'["\\ud800", "\\u0000"]') == ["\ud800", "\0"]


@settings(max_examples=20)
@given(st.integers(min_value=0, max_value=400), st.sampled_from(["[", '{"a":', '[{"b":']))
def test_no_depth_ever_recurses_too_deep(depth: int, opening: str) -> None:
    body = (opening * depth).encode()
    with pytest.raises(InvalidRequestError):
        decode_json(body)
