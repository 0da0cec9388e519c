"""Whatever a client sends, it gets an answer or a clear 4xx, and the next client does not notice."""

import contextlib
import gzip
import http.client
import json
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from nexus.testing import RunningGateway

CHAT = "/v1/chat/completions"
QUESTION = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}).encode()
MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def error(self) -> dict[str, object]:
        error = json.loads(self.body)["error"]
        assert isinstance(error, dict)
        return error


@pytest.fixture(autouse=True)
def _unharmed(gateway: RunningGateway) -> Iterator[None]:
    """After each test no VM has died, and an ordinary request is classified and answered."""
    yield
    gateway.reset()
    assert talk(gateway, head(len(QUESTION)) + QUESTION).status == 200
    [request] = gateway.providers["openai"].requests()
    assert request.header("x-ai-complexity")
    assert gateway.vm_crashes() == []


def head(length: int | None, *lines: str, path: str = CHAT) -> bytes:
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return "\r\n".join(
        [f"POST {path} HTTP/1.1", "host: test", "content-type: application/json", framing, *lines, "", ""]
    ).encode("latin-1")


def connect(gateway: RunningGateway) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def answer_on(connection: socket.socket) -> Answer:
    response = http.client.HTTPResponse(connection)
    try:
        response.begin()
        return Answer(response.status, response.headers, response.read())
    finally:
        response.close()


def talk(gateway: RunningGateway, *pieces: bytes) -> Answer:
    """Send *pieces* one after the other over a new connection and return the answer."""
    with connect(gateway) as connection:
        # A server that has heard enough answers and closes before it has read everything.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                connection.sendall(piece)
        return answer_on(connection)


def post(gateway: RunningGateway, body: bytes, *lines: str) -> Answer:
    return talk(gateway, head(len(body), *lines), body)


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def chat(content: object) -> bytes:
    return json.dumps({"model": "auto", "messages": [{"role": "user", "content": content}]}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b'{"model": "auto", "messages": [}',
        b'{"model": NaN}',
        b"\xff\xfe\x00",
        b"\x00",
        b"   ",
        b"null",
        b"[]",
        b'"text"',
        b"1" * 100_000,
        b'{"a":1}{"b":2}',
        b"\xef\xbb\xbf{",
        QUESTION[:-1],
        QUESTION + b"}",
    ],
)
def test_a_body_that_is_no_json_object_gets_400(gateway: RunningGateway, body: bytes) -> None:
    answer = post(gateway, body)

    assert answer.status == 400
    assert answer.error["message"]
    assert answer.error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"model": "auto"},
        {"model": 7, "messages": []},
        {"model": "auto", "messages": {}},
        {"model": "auto", "messages": "hi"},
        {"model": "auto", "messages": [1, None, "x", [], {}]},
        {"model": "auto", "messages": [{"role": "user", "content": 5}]},
        {"model": "auto", "messages": [{"role": [], "content": {"a": 1}}]},
        {"model": "auto", "messages": [{"role": "user", "content": [[], 1, {"type": 3, "text": None}]}]},
        {"model": {}, "messages": [{"role": "user", "content": "hi"}], "tools": "x", "max_tokens": "many"},
        {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": "yes"},
        {"model": "auto\r\nx-injected: 1", "messages": [{"role": "user", "content": "hi"}]},
        {"model": "模" * 100_000, "messages": [{"role": "user", "content": "hi"}]},
        {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 10**400},
    ],
)
def test_values_that_make_no_sense_get_an_answer_or_400(
    gateway: RunningGateway, document: dict[str, object]
) -> None:
    answer = post(gateway, json.dumps(document).encode())

    assert answer.status in (200, 400)
    if answer.status == 400:
        assert answer.error["message"]
    for request in gateway.providers["openai"].requests():
        assert request.header("x-injected") is None


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"model": "auto", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model": "auto", "messages": [{"role": "user", "content": ' + b"[" * 3_000 + b"]" * 3_000 + b"}]}",
    ],
)
def test_deep_nesting_gets_400(gateway: RunningGateway, body: bytes) -> None:
    assert post(gateway, body).status == 400


def test_brackets_in_a_text_are_no_nesting(gateway: RunningGateway) -> None:
    assert post(gateway, chat("[" * 100_000)).status == 200


def test_a_body_of_20_megabytes_gets_413(gateway: RunningGateway) -> None:
    answer = post(gateway, chat("twenty megabytes of words " * (20 * MEGABYTE // 26)))

    assert answer.status == 413
    assert answer.error["message"] == "The request body is larger than 16777216 bytes"
    assert gateway.providers["openai"].requests_in_all() == 0


def test_a_body_of_15_megabytes_passes_whole(gateway: RunningGateway) -> None:
    body = chat("fifteen megabytes of words " * (15 * MEGABYTE // 27))

    assert post(gateway, body).status == 200
    [request] = gateway.providers["openai"].requests()
    assert request.body_bytes == len(body)


def test_a_body_of_unknown_length_over_the_gateways_limit_gets_413(gateway: RunningGateway) -> None:
    answer = talk(gateway, head(None), *[chunks(b" " * MEGABYTE)] * 40)

    assert answer.status == 413
    assert answer.error == {
        "message": "the request body is larger than the gateway's limit of 33554432 bytes",
        "type": "invalid_request_error",
        "param": None,
        "code": "request_payload_too_large",
    }


def test_many_values_are_bounded(gateway: RunningGateway) -> None:
    answer = post(gateway, b'{"model": "auto", "messages": [' + b"[]," * 3_000_000 + b"[]]}")

    assert answer.status == 400


def test_a_body_in_chunks_of_one_byte_is_classified(gateway: RunningGateway) -> None:
    body = chat("Why is the sky blue?")

    answer = talk(gateway, head(None), *(chunks(bytes([byte])) for byte in body), b"0\r\n\r\n")

    assert answer.status == 200
    [request] = gateway.providers["openai"].requests()
    assert request.body == body
    assert request.header("x-ai-complexity")


def test_a_body_with_trailers_is_classified(gateway: RunningGateway) -> None:
    trailers = b"0\r\nx-checksum: abc\r\nx-ai-domain: forged\r\n\r\n"

    answer = talk(gateway, head(None, "trailer: x-checksum"), chunks(QUESTION[:10], QUESTION[10:]), trailers)

    assert answer.status == 200
    [request] = gateway.providers["openai"].requests()
    assert request.body == QUESTION
    assert request.header_values("x-ai-domain") == ["general"]


def test_bad_json_with_trailers_gets_400(gateway: RunningGateway) -> None:
    assert talk(gateway, head(None), chunks(b"{"), b"0\r\nx-checksum: abc\r\n\r\n").status == 400


@pytest.mark.parametrize("framing", [head(0), head(None) + b"0\r\n\r\n", head(None) + b"0\r\nx-t: 1\r\n\r\n"])
def test_an_empty_body_gets_400(gateway: RunningGateway, framing: bytes) -> None:
    answer = talk(gateway, framing)

    assert answer.status == 400
    assert answer.error["message"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "auto", "messages": [{"role": "user", "content": "\\ud800 alone \\udfff"}]}',
        b'{"model": "\\ud800", "messages": [{"role": "user", "content": "hi"}]}',
        b'{"model": "auto", "messages": [{"role": "user", "content": "nul \\u0000 nul"}]}',
        b'{"model": "a\\u0000b", "messages": [{"role": "user", "content": "hi"}]}',
        b'{"\\ud800": 1, "model": "auto", "messages": [{"role": "\\udc00", "content": "hi"}]}',
    ],
)
def test_lone_surrogates_and_nuls_pass(gateway: RunningGateway, body: bytes) -> None:
    answer = post(gateway, body)

    assert answer.status == 200
    [request] = gateway.providers["openai"].requests()
    assert request.body == body
    assert request.header("x-ai-complexity")


@pytest.mark.parametrize(
    "body",
    [
        QUESTION.replace(b"Hi", b"a\x00b"),
        QUESTION.replace(b"Hi", b"\xed\xa0\x80"),
        QUESTION.replace(b"Hi", b"\xc3("),
    ],
)
def test_raw_nuls_and_bytes_that_are_not_utf8_get_400(gateway: RunningGateway, body: bytes) -> None:
    assert post(gateway, body).status == 400


@pytest.mark.parametrize(
    "line",
    [
        "x-test: caf\xe9 \xff\xfe",
        "user-agent: \xc3\x28",
        "x-ai-domain: \xff",
        "x-ai-\xff: 1",
        "content-encoding: \xff",
        "authorization: Bearer \x80\x81",
    ],
)
def test_headers_that_are_not_utf8_pass_or_get_400(gateway: RunningGateway, line: str) -> None:
    answer = post(gateway, QUESTION, line)

    assert answer.status in (200, 400)
    if answer.status == 200:
        [request] = gateway.providers["openai"].requests()
        assert set(request.header_values("x-ai-domain")) <= {"general"}


def test_ten_thousand_messages_pass(gateway: RunningGateway) -> None:
    messages = [
        {"role": ("user", "assistant")[number % 2], "content": f"turn {number}"} for number in range(10_000)
    ]

    answer = post(gateway, json.dumps({"model": "auto", "messages": messages}).encode())

    assert answer.status == 200
    assert gateway.providers["openai"].requests()[0].header("x-ai-complexity")


def test_a_compressed_body_passes_as_it_is(gateway: RunningGateway) -> None:
    body = gzip.compress(QUESTION)

    answer = post(gateway, body, "content-encoding: gzip")

    # aiohttp, and so the fake provider, unpacks it.
    assert answer.status == 200
    assert gateway.providers["openai"].requests()[0].body == QUESTION


def test_many_headers_pass(gateway: RunningGateway) -> None:
    answer = post(gateway, QUESTION, *(f"x-ai-{number}: forged" for number in range(90)))

    assert answer.status == 200
    [request] = gateway.providers["openai"].requests()
    assert "forged" not in [value for _, value in request.headers]


def test_requests_one_behind_the_other_are_answered_in_order(gateway: RunningGateway) -> None:
    other = QUESTION.replace(b'"auto"', b'"other"')
    with connect(gateway) as connection:
        connection.sendall(head(len(QUESTION)) + QUESTION + head(len(other), "connection: close") + other)
        with connection.makefile("rb") as stream:
            answers = stream.read()

    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert 0 < answers.index(b"answers as auto") < answers.index(b"answers as other")


def test_a_client_that_waits_for_100_is_answered(gateway: RunningGateway) -> None:
    with connect(gateway) as connection:
        connection.sendall(head(len(QUESTION), "expect: 100-continue"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 Continue\r\n")
        connection.sendall(QUESTION)

        assert answer_on(connection).status == 200


@pytest.mark.parametrize("rude", [False, True])
def test_a_client_that_goes_away_in_its_body_harms_nobody(gateway: RunningGateway, rude: bool) -> None:
    for length in range(0, len(QUESTION), 7):
        with connect(gateway) as connection:
            if rude:  # close() then sends RST instead of FIN
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(head(len(QUESTION)) + QUESTION[:length])

    assert gateway.providers["openai"].requests() == []


def test_a_client_that_goes_away_in_its_answer_ends_the_providers_work(gateway: RunningGateway) -> None:
    provider = gateway.providers["openai"]
    provider.set_fault(token_interval_ms=20, answer_tokens=2000)
    body = json.dumps(json.loads(QUESTION) | {"stream": True}).encode()
    with connect(gateway) as connection:
        connection.sendall(head(len(body)) + body)
        connection.recv(1000)

    deadline = time.monotonic() + 5
    while (request := provider.requests()[0]).ended is None:
        assert time.monotonic() < deadline
    assert request.ended == "client_aborted"
    assert request.usage is not None
    assert request.usage["completion_tokens"] < 2000
