"""Requests to models are told from others, and read, in one way for all plugins."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway.chat import ChatRequest, Format, Need, Role, Turn
from aigateway.intake import (
    Asked,
    announced_bytes,
    asked_in,
    asked_in_signals,
    decode_object,
    is_compressed,
    read_body,
    read_document,
    too_large,
    unreadable,
    wants_body,
)
from aigateway.refusals import InvalidRequestError
from aigateway.signals import encode_text

CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
MEASURED = JSON | {"x-ai-prompt-tokens": "5"}


class Counted:
    """Headers that say how often they were looked at: in a gateway each look is a call."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers
        self.asked: list[str] = []

    def get(self, name: str, /) -> str | None:
        """Return the value of a header, or None."""
        self.asked.append(name)
        return self._headers.get(name)


def body_of(**members: object) -> bytes:
    return json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Hi"}]} | members).encode()


@pytest.mark.parametrize(
    ("method", "path", "content_type", "wanted"),
    [
        ("POST", CHAT, "application/json", True),
        ("POST", CHAT, "application/json; charset=utf-8", True),
        ("POST", CHAT, None, True),
        ("POST", CHAT, "", True),
        ("POST", CHAT, "text/plain", True),
        ("POST", CHAT, "application/x-www-form-urlencoded", True),
        ("POST", CHAT, "Multipart/form-data; boundary=x", False),
        ("GET", CHAT, "application/json", False),
        ("post", CHAT, "application/json", False),
        ("OPTIONS", CHAT, None, False),
        ("DELETE", "/v1/responses/resp_1", None, False),
        ("POST", "/models/x/v1/chat/completions", "application/json", True),
        ("POST", "/my/llm", "application/json", True),
        ("POST", "/my/llm", "application/vnd.api+JSON", True),
        ("POST", "/my/llm", None, True),
        ("POST", "/my/llm", "", False),
        ("POST", "/my/llm", "text/html", False),
        ("POST", "/my/llm", "multipart/form-data", False),
        ("POST", "/v1/embeddings", "application/json", False),
        ("POST", "/v1/images/generations?n=2", "application/json", False),
        ("POST", "/v1/audio/transcriptions", "multipart/form-data", False),
        ("POST", "", None, True),
        ("", "", None, False),
    ],
)
def test_only_bodies_that_matter_are_waited_for(
    method: str, path: str, content_type: str | None, wanted: bool
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}

    assert wants_body(method, path, headers) is wanted


@pytest.mark.parametrize(
    ("path", "content_type", "wanted"),
    [
        (CHAT, "multipart/form-data", True),
        (CHAT, "text/plain", True),
        ("/my/llm", "multipart/form-data", False),
        ("/v1/embeddings", "application/json", False),
    ],
)
def test_whoever_takes_any_type_is_given_all_there_is_on_the_path_of_an_api(
    path: str, content_type: str, wanted: bool
) -> None:
    assert wants_body("POST", path, {"content-type": content_type}, takes_any_type=True) is wanted


def test_a_measured_request_is_one_to_a_model_wherever_it_goes() -> None:
    assert wants_body("POST", "/v1/embeddings", MEASURED, trust_signals=True)
    assert wants_body("POST", "/upload", MEASURED | {"content-type": "image/png"}, trust_signals=True)
    assert not wants_body("GET", CHAT, MEASURED, trust_signals=True)


def test_signals_of_a_client_make_no_body_worth_waiting_for() -> None:
    assert not wants_body("POST", "/v1/embeddings", MEASURED)


@pytest.mark.parametrize(
    ("method", "path", "trust_signals", "asked"),
    [
        ("GET", CHAT, True, []),
        ("POST", "/v1/embeddings", False, []),
        ("POST", CHAT, False, ["content-type"]),
        ("POST", CHAT, True, ["x-ai-prompt-tokens"]),
    ],
)
def test_no_header_is_looked_at_that_makes_no_difference(
    method: str, path: str, trust_signals: bool, asked: list[str]
) -> None:
    headers = Counted(MEASURED)

    wants_body(method, path, headers, trust_signals=trust_signals)

    assert headers.asked == asked


@pytest.mark.parametrize(
    ("encoding", "compressed"),
    [
        (None, False),
        ("", False),
        ("identity", False),
        (" Identity ", False),
        ("gzip", True),
        (" BR ", True),
        ("identity, gzip", True),
    ],
)
def test_whatever_is_not_as_it_was_is_compressed(encoding: str | None, compressed: bool) -> None:
    assert is_compressed({} if encoding is None else {"content-encoding": encoding}) is compressed


@pytest.mark.parametrize(
    ("length", "bytes_announced"),
    [(None, 0), ("0", 0), ("17", 17), ("-1", 0), ("1e9", 0), ("", 0), ("9" * 5_000, 10**20 - 1)],
)
def test_a_length_that_is_no_number_announces_nothing(length: str | None, bytes_announced: int) -> None:
    assert announced_bytes({} if length is None else {"content-length": length}) == bytes_announced


@pytest.mark.parametrize(
    ("headers", "status", "code", "message"),
    [
        (
            {"content-encoding": "gzip", "content-length": "101"},
            415,
            "unsupported_encoding",
            "Request bodies must not be compressed: content-encoding must be absent or 'identity'",
        ),
        ({"content-length": "101"}, 413, "request_too_large", "The request body is larger than 100 bytes"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_before_it_comes(
    headers: dict[str, str], status: int, code: str, message: str
) -> None:
    refusal = unreadable(headers, 100)

    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.message) == (status, code, message)


@pytest.mark.parametrize("headers", [{}, {"content-length": "100"}, {"content-encoding": "identity"}])
def test_bodies_that_can_be_read(headers: dict[str, str]) -> None:
    assert unreadable(headers, 100) is None


def test_a_body_may_be_as_large_as_the_limit() -> None:
    refusal = too_large(101, 100)

    assert too_large(100, 100) is None
    assert refusal is not None
    assert refusal.status == 413


@given(
    st.text(max_size=30),
    st.text(max_size=30),
    st.dictionaries(
        st.sampled_from(["content-type", "content-encoding", "content-length", "x-ai-prompt-tokens"]),
        st.text(max_size=30),
    ),
)
def test_any_headers_are_understood(method: str, path: str, headers: dict[str, str]) -> None:
    assert wants_body(method, path, headers) in (True, False)
    assert wants_body("POST", path, headers, trust_signals=True) in (True, False)
    refusal = unreadable(headers, 10)
    assert refusal is None or refusal.status in (413, 415)


@pytest.mark.parametrize(
    ("path", "members", "format"),
    [
        (CHAT, {}, Format.CHAT),
        ("/anthropic/v1/messages", {}, Format.ANTHROPIC),
        ("/elsewhere", {}, Format.CHAT),
        ("/elsewhere", {"system": "Be brief."}, Format.ANTHROPIC),
    ],
)
def test_requests_are_read_by_their_path_or_their_shape(
    path: str, members: dict[str, object], format: Format
) -> None:
    body = body_of(**members)

    request = read_body(path, body)

    assert request is not None
    assert request.format is format
    assert request.turns[-1] == Turn(Role.USER, "Hi")
    assert read_document(path, body) == (format, json.loads(body))


@pytest.mark.parametrize(
    "body", [b"", b"not JSON", b"[1]", b"{}", b'{"messages": [{"role": 1}]}', b'{"prompt": [{}]}']
)
def test_elsewhere_whatever_is_no_request_to_a_model_is_none(body: bytes) -> None:
    assert read_body("/elsewhere", body) is None


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[1]", b"{}", b'{"messages": [{"role": 1}]}'])
def test_on_a_known_path_what_no_model_could_answer_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        read_body(CHAT, body)


def test_a_document_is_not_judged_by_what_it_says() -> None:
    assert read_document(CHAT, b'{"messages": 7}') == (Format.CHAT, {"messages": 7})
    assert read_document("/elsewhere", b'{"messages": 7}') is None


def test_an_object_is_expected() -> None:
    assert decode_object(b'{"a": 1}') == {"a": 1}
    with pytest.raises(InvalidRequestError, match="expected an object, got an array"):
        decode_object(b"[1]")


def test_a_request_is_measured() -> None:
    request = read_body(
        CHAT, body_of(max_tokens=7, stream=True, messages=[{"role": "user", "content": "x " * 500}])
    )
    assert request is not None

    asked = asked_in(request)

    assert asked == Asked(
        format=Format.CHAT,
        prompt_tokens=asked.prompt_tokens,
        max_tokens=7,
        needs=frozenset({Need.STREAM}),
        requested_model="auto",
    )
    assert 300 < asked.prompt_tokens < 1_200


def test_even_an_empty_prompt_is_a_token() -> None:
    assert asked_in(ChatRequest(format=Format.COMPLETION)).prompt_tokens == 1


def test_signals_say_what_an_earlier_plugin_has_measured() -> None:
    headers = {
        "x-ai-prompt-tokens": "1234",
        "x-ai-max-tokens": "99",
        "x-ai-requested-model": encode_text("models/über model"),
        "x-ai-needs": "vision,stream",
    }

    assert asked_in_signals(headers, Format.RESPONSES) == Asked(
        format=Format.RESPONSES,
        prompt_tokens=1_234,
        max_tokens=99,
        needs=frozenset({Need.VISION, Need.STREAM}),
        requested_model="models/über model",
    )


def test_what_signals_do_not_say_was_not_asked() -> None:
    assert asked_in_signals({"x-ai-prompt-tokens": "1"}) == Asked(None, 1, None, frozenset(), None)


@pytest.mark.parametrize("value", [None, "many", "-1", ""])
def test_without_a_length_nothing_was_measured(value: str | None) -> None:
    headers = {"x-ai-max-tokens": "99"} | ({} if value is None else {"x-ai-prompt-tokens": value})

    assert asked_in_signals(headers) is None
