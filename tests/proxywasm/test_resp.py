"""The encoding of Redis: what is encoded can be decoded, and nothing else can."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxywasm import RedisError, RedisValue
from proxywasm._resp import decode_answer, encode_command

LINES = st.binary(max_size=20).filter(lambda line: b"\r\n" not in line and not line.endswith(b"\r"))
CODES = st.sampled_from(["ERR no", "NOSCRIPT No matching script.", "WRONGTYPE"])
VALUES = st.recursive(
    st.binary(max_size=20) | st.integers(-(2**63), 2**63 - 1) | st.none() | CODES.map(RedisError),
    lambda children: st.lists(children, max_size=4),
    max_leaves=12,
)


def encoded(value: RedisValue) -> bytes:
    """Encode an answer as a server does."""
    if isinstance(value, RedisError):
        return b"-%b\r\n" % value.message.encode()
    if isinstance(value, list):
        return b"*%d\r\n%b" % (len(value), b"".join(map(encoded, value)))
    if isinstance(value, int):
        return b":%d\r\n" % value
    return b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)


@given(VALUES)
def test_every_answer_is_read_as_it_was_written(value: RedisValue) -> None:
    assert encoded(decode_answer(encoded(value))) == encoded(value)


@given(LINES)
def test_a_simple_string_is_bytes(line: bytes) -> None:
    assert decode_answer(b"+%b\r\n" % line) == line


@given(VALUES, st.data())
def test_half_an_answer_is_none(value: RedisValue, data: st.DataObject) -> None:
    whole = encoded(value)

    with pytest.raises(ValueError, match="answer of Redis"):
        decode_answer(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.binary(max_size=40))
def test_anything_else_is_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert encoded(decode_answer(data))


@pytest.mark.parametrize(
    "data",
    [b"+OK\r\n+OK\r\n", b":1_0\r\n", b": 1\r\n", b"$3\r\nab\r\n\r\n", b"%0\r\n", b"*1\r\n" * 40 + b":1\r\n"],
)
def test_what_is_not_one_answer_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="Redis"):
        decode_answer(data)


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5))
def test_a_command_is_an_array_of_strings(parts: list[bytes]) -> None:
    command: list[RedisValue] = [*parts]

    assert encode_command(parts) == encoded(command)


def test_texts_and_numbers_of_a_command_become_strings() -> None:
    assert encode_command(["SET", "é", -3]) == b"*3\r\n$3\r\nSET\r\n$2\r\n\xc3\xa9\r\n$2\r\n-3\r\n"


@pytest.mark.parametrize(
    ("message", "code"),
    [("NOAUTH Authentication required.", "NOAUTH"), ("prompt of a user", "ERR"), ("", "ERR")],
)
def test_the_code_of_an_error_never_quotes(message: str, code: str) -> None:
    error = RedisError(message)

    assert (error.code, str(error), error.message) == (code, f"Redis answered with the error {code}", message)
