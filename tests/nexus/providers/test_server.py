"""The fake providers over real sockets."""

import json
import socket
import time
from collections.abc import Iterator

import openai
import pytest
import requests

from nexus.controls import ControlError, ProviderControl, SeenRequest
from nexus.providers import count_tokens

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}


@pytest.fixture
def client(provider: ProviderControl) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{provider.base_url}/v1", api_key="none", max_retries=0) as client:
        yield client


def post(provider: ProviderControl, document: object, path: str = CHAT) -> requests.Response:
    return requests.post(provider.base_url + path, json=document, timeout=10)


def wait_for_request(provider: ProviderControl) -> None:
    """Return once the provider has seen a request, answered or not."""
    deadline = time.monotonic() + 5
    while not provider.requests_in_all():
        assert time.monotonic() < deadline, "the provider has seen no request"


def ended(provider: ProviderControl) -> SeenRequest:
    """Return the last request, once its response has ended."""
    deadline = time.monotonic() + 5
    while (request := provider.requests(last=1)[0]).ended is None:
        assert time.monotonic() < deadline, "the response has not ended"
    return request


def sent(provider: ProviderControl, document: object) -> socket.socket:
    """Return a connection over which a request has been sent."""
    body = json.dumps(document).encode()
    connection = socket.create_connection(("127.0.0.1", provider.port), timeout=10)
    connection.sendall(
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )
    return connection


def received_body(provider: ProviderControl, document: object) -> bytes:
    """Return what arrives of a response's body before the connection ends, without the framing."""
    received = b""
    with sent(provider, document) as connection:
        while data := connection.recv(1 << 20):
            received += data
    head, _, body = received.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return body
    content = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        content += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return content


class TestAnswers:
    def test_a_chat_completion_counts_what_it_says(self, client: openai.OpenAI) -> None:
        completion = client.chat.completions.create(
            model="gpt-5.5", messages=[{"role": "user", "content": "Hi, 世界!"}]
        )

        text = completion.choices[0].message.content
        assert text is not None
        assert text.startswith("openai answers as gpt-5.5 to request ")
        assert completion.usage is not None
        assert completion.usage.prompt_tokens == 5
        assert completion.usage.completion_tokens == count_tokens(text)
        assert completion.usage.total_tokens == 5 + count_tokens(text)
        assert completion.choices[0].finish_reason == "stop"

    @pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
    def test_a_limit_is_kept(self, provider: ProviderControl, name: str) -> None:
        answer = post(provider, QUESTION | {name: 4}).json()

        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["usage"]["completion_tokens"] == 4

    def test_a_stream_says_what_the_whole_answer_says(self, client: openai.OpenAI) -> None:
        stream = client.chat.completions.create(
            model="auto",
            messages=[{"role": "user", "content": "Hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )

        chunks = list(stream)

        *content, final, usage = chunks
        pieces = [chunk.choices[0].delta.content for chunk in content]
        assert pieces[0] == ""
        assert final.choices[0].finish_reason == "stop"
        assert usage.choices == []
        assert usage.usage is not None
        assert usage.usage.completion_tokens == len(pieces) - 1
        assert all(chunk.usage is None for chunk in chunks[:-1])
        assert count_tokens("".join(piece or "" for piece in pieces)) == len(pieces) - 1

    def test_a_stream_has_no_usage_unless_asked(self, provider: ProviderControl) -> None:
        response = post(provider, QUESTION | {"stream": True})

        assert response.headers["content-type"].startswith("text/event-stream")
        assert b"usage" not in response.content
        assert response.content.endswith(b"data: [DONE]\n\n")

    def test_completions_answer_a_bare_prompt(self, client: openai.OpenAI) -> None:
        completion = client.completions.create(model="auto", prompt="Once upon a time")
        streamed = client.completions.create(model="auto", prompt="Once upon a time", stream=True)

        assert completion.usage is not None
        assert completion.usage.prompt_tokens == 4
        assert completion.choices[0].text.startswith("openai answers as auto")
        assert "".join(chunk.choices[0].text for chunk in streamed).startswith("openai answers as auto")

    def test_responses_answer_and_stream(self, client: openai.OpenAI) -> None:
        response = client.responses.create(model="auto", instructions="Be brief", input="Hello there")
        events = list(client.responses.create(model="auto", input="Hello", stream=True, max_output_tokens=3))

        assert response.usage is not None
        assert response.usage.input_tokens == 4
        assert response.usage.output_tokens == count_tokens(response.output_text)
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert deltas == ["openai", " answers", " as"]
        assert events[-1].type == "response.incomplete"
        assert [event.sequence_number for event in events] == list(range(len(events)))

    def test_anthropic_messages_answer_and_stream(self, provider: ProviderControl) -> None:
        message = {"system": "Be brief", "max_tokens": 3} | QUESTION

        answer = post(provider, message, "/v1/messages").json()
        stream = post(provider, message | {"stream": True}, "/v1/messages").text

        assert answer["content"] == [{"type": "text", "text": "openai answers as"}]
        assert answer["stop_reason"] == "max_tokens"
        assert answer["usage"] == {"input_tokens": 8, "output_tokens": 3}
        kinds = [line.removeprefix("event: ") for line in stream.splitlines() if line.startswith("event: ")]
        assert kinds == [
            "message_start",
            "content_block_start",
            *["content_block_delta"] * 3,
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]

    def test_content_parts_count_as_text_and_images_do_not(self, provider: ProviderControl) -> None:
        parts = [
            {"type": "text", "text": "two words"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ]
        document = {"model": "auto", "messages": [{"role": "user", "content": parts}]}

        assert post(provider, document).json()["usage"]["prompt_tokens"] == 2

    def test_models_are_listed_by_their_provider(self, all_providers: dict[str, ProviderControl]) -> None:
        listed = {
            name: [
                model["id"]
                for model in requests.get(f"{control.base_url}/v1/models", timeout=10).json()["data"]
            ]
            for name, control in all_providers.items()
        }

        assert listed["openai"] == ["gpt-5.5", "gpt-4.1-mini"]
        assert listed["moonshot"] == ["kimi"]
        assert len(listed) == 4

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            (b"{", "the body is not JSON"),
            (b"\xff\xfe", "the body is not JSON"),
            (b"[" * 100_000, "the body is nested too deeply"),
            (b"[]", "the body must be a JSON object"),
            (b"{}", "model: expected a name of 1 to 200 characters"),
            (b'{"model": "a"}', "messages: expected an array with at least one message"),
            (b'{"model": "a", "messages": [1], "max_tokens": 0}', "max_tokens: expected an integer above 0"),
            (b'{"model": "a", "messages": [1], "stream": 1}', "stream: expected true or false"),
        ],
    )
    def test_a_request_that_makes_no_sense_gets_an_openai_error(
        self, provider: ProviderControl, body: bytes, problem: str
    ) -> None:
        response = requests.post(provider.base_url + CHAT, body, timeout=10)

        assert response.status_code == 400
        assert response.json()["error"]["message"] == problem
        assert response.json()["error"]["type"] == "invalid_request_error"

    @pytest.mark.parametrize(("method", "path", "status"), [("GET", CHAT, 405), ("POST", "/v2/x", 404)])
    def test_what_is_not_there_gets_an_openai_error(
        self, provider: ProviderControl, method: str, path: str, status: int
    ) -> None:
        response = requests.request(method, provider.base_url + path, timeout=10)

        assert response.status_code == status
        assert response.json()["error"]["message"]

    def test_large_headers_are_taken(self, provider: ProviderControl) -> None:
        response = requests.post(
            provider.base_url + CHAT, json=QUESTION, headers={"x-large": "x" * 60_000}, timeout=10
        )

        assert response.status_code == 200


class TestJournal:
    def test_a_request_is_kept_with_all_headers_its_body_and_its_end(self, provider: ProviderControl) -> None:
        body = json.dumps(QUESTION)
        with socket.create_connection(("127.0.0.1", provider.port)) as connection:
            headers = f"Host: x\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: {len(body)}"
            connection.sendall(f"POST {CHAT}?a=1 HTTP/1.1\r\n{headers}\r\n\r\n{body}".encode())
            connection.recv(65536)

        request = ended(provider)
        assert (request.method, request.path) == ("POST", f"{CHAT}?a=1")
        assert request.headers[1:3] == (("X-A", "1"), ("X-A", "2"))
        assert request.header_values("x-a") == ["1", "2"]
        assert request.header("x-b") is None
        assert request.body == body.encode()
        assert (request.status, request.ended) == (200, "complete")
        assert request.usage is not None
        assert request.usage["prompt_tokens"] == 6
        assert request.bytes_sent > 100

    def test_a_body_that_is_not_text_is_kept(self, provider: ProviderControl) -> None:
        requests.post(provider.base_url + CHAT, b"\xff\x00", timeout=10)

        assert ended(provider).body == b"\xff\x00"

    def test_the_bytes_of_a_stream_are_counted(self, provider: ProviderControl) -> None:
        response = post(provider, QUESTION | {"stream": True})

        assert ended(provider).bytes_sent == len(response.content)

    def test_a_client_that_goes_away_is_noticed_with_what_it_was_sent(
        self, provider: ProviderControl
    ) -> None:
        provider.set_fault(token_interval_ms=20, answer_tokens=1000)
        with requests.post(
            provider.base_url + CHAT, json=QUESTION | {"stream": True}, stream=True, timeout=10
        ) as response:
            pieces = response.iter_content(chunk_size=None)
            while b"answers" not in next(pieces):
                pass

        request = ended(provider)
        assert request.ended == "client_aborted"
        assert request.usage is not None
        assert 2 <= request.usage["completion_tokens"] < 1000

    def test_a_body_that_never_comes_is_noticed(self, provider: ProviderControl) -> None:
        with socket.create_connection(("127.0.0.1", provider.port)) as connection:
            connection.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123".encode())
            wait_for_request(provider)

        assert ended(provider).ended == "client_aborted"
        assert provider.requests()[0].body is None

    def test_it_can_be_cleared(self, provider: ProviderControl) -> None:
        post(provider, QUESTION)

        provider.forget_requests()

        assert provider.requests() == []

    def test_a_number_that_is_none_is_refused(self, provider: ProviderControl) -> None:
        response = requests.get(f"{provider.base_url}/__requests?last=-1", timeout=10)

        assert response.status_code == 400

    def test_each_provider_keeps_its_own(self, all_providers: dict[str, ProviderControl]) -> None:
        for control in all_providers.values():
            control.forget_requests()

        post(all_providers["google"], QUESTION)

        assert {name: control.requests_in_all() for name, control in all_providers.items()} == {
            "openai": 0,
            "anthropic": 0,
            "google": 1,
            "moonshot": 0,
        }


class TestFaults:
    def test_a_status_comes_with_an_error_object_as_often_as_asked(self, provider: ProviderControl) -> None:
        provider.set_fault(status=503, count=2)

        statuses = [post(provider, QUESTION).status_code for _ in range(3)]

        assert statuses == [503, 503, 200]

    def test_retry_after_is_sent(self, provider: ProviderControl) -> None:
        provider.set_fault(status=429, retry_after_s=3)

        response = post(provider, QUESTION)

        assert response.status_code == 429
        assert response.headers["retry-after"] == "3"
        assert response.json()["error"]["type"] == "rate_limit_error"

    def test_latency_comes_before_the_headers(self, provider: ProviderControl) -> None:
        provider.set_fault(latency_ms=300)

        assert post(provider, QUESTION).elapsed.total_seconds() >= 0.3

    def test_first_token_latency_comes_after_the_headers(self, provider: ProviderControl) -> None:
        provider.set_fault(first_token_ms=400)
        with requests.post(
            provider.base_url + CHAT, json=QUESTION | {"stream": True}, stream=True, timeout=10
        ) as response:
            headers_after = response.elapsed.total_seconds()
            started = time.monotonic()
            next(response.iter_content(chunk_size=None))
            first_after = time.monotonic() - started

        assert headers_after < 0.4
        assert first_after > 0.2

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_connection_is_cut_after_so_many_bytes_of_body(
        self, provider: ProviderControl, stream: bool
    ) -> None:
        provider.set_fault(cut_after_bytes=200, answer_tokens=200)

        assert len(received_body(provider, QUESTION | {"stream": stream})) == 200
        assert ended(provider).ended == "cut"
        assert ended(provider).bytes_sent == 200

    def test_a_large_answer_is_cut_where_asked(self, provider: ProviderControl) -> None:
        provider.set_fault(cut_after_bytes=5_000_000, oversized_bytes=8_000_000)

        assert len(received_body(provider, QUESTION)) == 5_000_000

    def test_a_connection_can_be_cut_before_the_body(self, provider: ProviderControl) -> None:
        provider.set_fault(cut_after_bytes=0)

        assert received_body(provider, QUESTION) == b""
        assert ended(provider).status == 200

    def test_a_hanging_request_is_let_go_when_the_fault_is_cleared(self, provider: ProviderControl) -> None:
        provider.set_fault(hang=True)
        with sent(provider, QUESTION) as connection:
            wait_for_request(provider)

            provider.set_fault()

            assert connection.recv(100) == b""
        assert ended(provider).ended == "released"

    def test_a_reset_is_a_reset(self, provider: ProviderControl) -> None:
        provider.set_fault(reset=True)
        with sent(provider, QUESTION) as connection, pytest.raises(ConnectionResetError):
            connection.recv(100)
        assert ended(provider).ended == "reset"

    def test_malformed_answers_are_http_but_not_json(self, provider: ProviderControl) -> None:
        provider.set_fault(malformed=True)

        whole = post(provider, QUESTION)
        events = post(provider, QUESTION | {"stream": True}).text.split("\n\n")

        assert whole.status_code == 200
        with pytest.raises(ValueError, match=r"."):
            whole.json()
        for event in filter(None, events):
            with pytest.raises(ValueError, match=r"."):
                json.loads(event.removeprefix("data: "))

    @pytest.mark.parametrize("stream", [False, True])
    def test_answers_can_be_oversized(self, provider: ProviderControl, stream: bool) -> None:
        provider.set_fault(oversized_bytes=1_000_000)

        content = post(provider, QUESTION | {"stream": stream}).content

        assert len(content) > 1_000_000
        assert max(map(len, content.split(b"\n\n"))) > 1_000_000

    def test_a_rate_hits_some(self, provider: ProviderControl) -> None:
        provider.set_fault(status=500, rate=0.5, seed=1)

        statuses = [post(provider, QUESTION).status_code for _ in range(40)]

        assert 8 < statuses.count(500) < 32

    def test_a_fault_is_shown_with_what_it_may_still_hit(self, provider: ProviderControl) -> None:
        provider.set_fault(status=503, count=5)
        post(provider, QUESTION)

        assert provider.fault() == {"fault": {"status": 503, "count": 5}, "remaining": 4, "applied": 1}
        entry = requests.get(f"{provider.base_url}/__requests", timeout=10).json()["requests"][0]
        assert entry["fault"] == {"status": 503, "count": 5}

    def test_an_unknown_fault_is_refused_and_the_old_one_stays(self, provider: ProviderControl) -> None:
        provider.set_fault(status=503)

        with pytest.raises(ControlError, match="stauts: unknown key; did you mean status"):
            provider.set_fault(stauts=500)

        assert provider.fault()["fault"] == {"status": 503}

    def test_faults_do_not_hit_the_control_paths(self, provider: ProviderControl) -> None:
        provider.set_fault(status=503)

        assert provider.requests() == []
        assert requests.get(f"{provider.base_url}/health", timeout=10).status_code == 200
