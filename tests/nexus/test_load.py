"""The load generator against servers that behave and servers that do not."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from nexus.controls import ProviderControl
from nexus.load import Expectation, LoadResult, http_request, run_load

CHAT = "/v1/chat/completions"
BODY = b'{"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}'
STREAM = b'{"model": "auto", "stream": true, "messages": [{"role": "user", "content": "Hi"}]}'


@contextlib.contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve each connection with *answer*, one after the other."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection, contextlib.suppress(OSError):
                    answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_as_many_requests_as_asked_are_sent_and_answered(provider: ProviderControl) -> None:
    seen: list[int] = []

    result = run_load(
        provider.port,
        [http_request("x", CHAT, BODY, headers=[("x-one", "1")]), http_request("x", CHAT, BODY)],
        count=100,
        connections=3,
        on_progress=seen.append,
        progress_every=25,
    )

    assert (result.completed, dict(result.errors)) == (100, {})
    assert provider.requests_in_all() == 100
    assert seen == [25, 50, 75, 100]
    assert 0 < result.percentile_ms(50) <= result.percentile_ms(99)
    assert result.requests_per_s == pytest.approx(100 / result.seconds)
    assert [request.header("x-one") for request in provider.requests()].count("1") == 50


def test_streams_are_read_to_their_end(provider: ProviderControl) -> None:
    expect = Expectation(body_ending=b"data: [DONE]\n\n", shortest_body_bytes=1000)

    result = run_load(
        provider.port, [http_request("x", CHAT, STREAM)], count=20, connections=2, expect=expect
    )

    assert (result.completed, dict(result.errors)) == (20, {})


def test_a_wrong_status_is_an_error(provider: ProviderControl) -> None:
    provider.set_fault(status=503, count=4)

    result = run_load(provider.port, [http_request("x", CHAT, BODY)], count=10, connections=1)

    assert (result.completed, dict(result.errors)) == (6, {"status 503": 4})


def test_a_body_that_is_too_short_is_an_error(provider: ProviderControl) -> None:
    expect = Expectation(shortest_body_bytes=1_000_000)

    result = run_load(provider.port, [http_request("x", CHAT, BODY)], count=3, connections=1, expect=expect)

    assert result.completed == 0
    assert sum(result.errors.values()) == 3


def test_a_stream_without_its_ending_is_an_error(provider: ProviderControl) -> None:
    expect = Expectation(body_ending=b"data: [DONE]\n\n")

    result = run_load(provider.port, [http_request("x", CHAT, BODY)], count=2, connections=1, expect=expect)

    assert dict(result.errors) == {"body without its ending": 2}


def test_a_connection_cut_in_an_answer_is_an_error_and_the_rest_goes_on(provider: ProviderControl) -> None:
    provider.set_fault(cut_after_bytes=10, count=2)

    result = run_load(provider.port, [http_request("x", CHAT, BODY)], count=10, connections=2)

    assert (result.completed, sum(result.errors.values())) == (8, 2)


def test_a_silent_server_is_an_error_in_time() -> None:
    def stay_silent(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with server(stay_silent) as port:
        result = run_load(port, [http_request("x", CHAT, BODY)], count=2, connections=1, timeout_s=0.2)

    assert dict(result.errors) == {"no byte for 0.2 s": 2}


def test_nobody_there_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

    result = run_load(port, [http_request("x", CHAT, BODY)], count=2, connections=1)

    assert result.completed == 0
    assert sum(result.errors.values()) == 2


def test_a_server_that_closes_after_each_answer_is_connected_to_again() -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    with server(answer) as port:
        result = run_load(port, [http_request("x", CHAT, BODY)], count=3, connections=1)

    assert (result.completed, dict(result.errors)) == (3, {})


def test_percentiles_are_of_the_latencies() -> None:
    result = LoadResult(latencies_s=[number / 1000 for number in range(100, 0, -1)])

    assert result.percentile_ms(50) == 51
    assert result.percentile_ms(99) == 100
    assert result.percentile_ms(0) == 1
