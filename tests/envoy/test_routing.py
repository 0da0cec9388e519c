"""What Envoy does by itself, as the renderer has told it to: routes, limits, errors, keys and TLS."""

import contextlib
import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from nexus.description import Gateway, Key, Limits, Provider, Timeouts, Tls
from nexus.ports import free_ports
from nexus.render import render, to_yaml
from nexus.testing import RunningGateway, describe_gateway, running_envoy, running_gateway

CHAT = "/v1/chat/completions"
QUESTION = {"model": "auto", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
TLS = Path(__file__).parents[1] / "nexus" / "testdata" / "tls"


def post(gateway: RunningGateway, headers: dict[str, str] | None = None) -> requests.Response:
    return requests.post(gateway.base_url + CHAT, json=QUESTION, headers=headers, timeout=10)


def test_a_request_without_a_choice_goes_to_the_default_provider(plain_gateway: RunningGateway) -> None:
    assert post(plain_gateway).json()["choices"][0]["message"]["content"].startswith("openai answers")


@pytest.mark.parametrize("name", ["openai", "anthropic", "google", "moonshot"])
def test_the_cluster_header_chooses_the_provider(plain_gateway: RunningGateway, name: str) -> None:
    answer = post(plain_gateway, {"x-ai-cluster": name}).json()

    assert answer["choices"][0]["message"]["content"].startswith(f"{name} answers")
    assert plain_gateway.providers[name].requests_in_all() == 1


def test_a_cluster_that_is_not_there_is_an_openai_error(plain_gateway: RunningGateway) -> None:
    response = post(plain_gateway, {"x-ai-cluster": "nowhere"})

    assert response.status_code == 503
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"] == {
        "message": "the gateway answered this itself: cluster_not_found",
        "type": "server_error",
        "param": None,
        "code": "cluster_not_found",
    }


def test_a_providers_error_passes_as_it_is(plain_gateway: RunningGateway) -> None:
    plain_gateway.providers["openai"].set_fault(status=429, retry_after_s=7)

    response = post(plain_gateway)

    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert response.json()["error"]["code"] == "injected_fault"


def test_a_provider_that_resets_after_the_request_is_asked_once(plain_gateway: RunningGateway) -> None:
    """It may have begun to answer and to charge: that is for a plugin or the client to repeat."""
    plain_gateway.providers["openai"].set_fault(reset=True)

    response = post(plain_gateway)

    assert response.status_code == 503
    assert response.json()["error"]["type"] == "server_error"
    assert plain_gateway.providers["openai"].requests_in_all() == 1


def test_an_answer_that_is_slow_to_begin_is_waited_for(plain_gateway: RunningGateway) -> None:
    plain_gateway.providers["openai"].set_fault(latency_ms=1500)

    assert post(plain_gateway).status_code == 200


def test_a_stream_passes_piece_by_piece(plain_gateway: RunningGateway) -> None:
    plain_gateway.providers["openai"].set_fault(token_interval_ms=10, answer_tokens=30)
    arrivals = []
    with requests.post(
        plain_gateway.base_url + CHAT, json=QUESTION | {"stream": True}, stream=True, timeout=10
    ) as response:
        for _ in response.iter_content(chunk_size=None):
            arrivals.append(time.monotonic())

    assert len(arrivals) > 20
    assert arrivals[-1] - arrivals[0] > 0.2


def test_an_idle_provider_is_given_up_with_an_openai_error() -> None:
    timeouts = Timeouts(connect_s=1, headers_s=5, idle_s=0.5, response_s=0)
    with running_gateway(gateway=replace(describe_gateway(), timeouts=timeouts)) as gateway:
        gateway.providers["openai"].set_fault(hang=True)

        response = post(gateway)

    assert response.status_code == 504
    assert response.json()["error"]["type"] == "server_error"


def test_connections_are_limited() -> None:
    limits = Limits(body_bytes=1 << 20, connections=2)
    with (
        running_gateway(gateway=replace(describe_gateway(), limits=limits)) as gateway,
        requests.Session() as first,
        requests.Session() as second,
    ):
        for session in (first, second):
            assert session.post(gateway.base_url + CHAT, json=QUESTION, timeout=10).status_code == 200

        with pytest.raises(requests.ConnectionError):
            post(gateway)


class _Recorder(http.server.BaseHTTPRequestHandler):
    """Answers everything with what it was sent."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"path": self.path, "headers": dict(self.headers.items())}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def tls_provider() -> Iterator[int]:
    """Serve a provider with the certificate of ``llm.internal``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem", TLS / "server.key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Recorder) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def real_provider(port: int, **changes: Any) -> Provider:
    tls = Tls(sni="llm.internal", ca_file=str(TLS / "server.pem"))
    provider = Provider(
        name="real",
        host="127.0.0.1",
        port=port,
        tls=tls,
        path_prefix="/v1beta/openai",
        key=Key(variable="TEST_KEY"),
    )
    return replace(provider, **changes)


@contextlib.contextmanager
def real_gateway(gateway: Gateway) -> Iterator[str]:
    """Run a gateway whose providers are not replaced by fake ones."""
    port = gateway.listeners[0].port
    with running_envoy(render(gateway, ()), port=port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TEST_KEY", "the-key")
    return "the-key"


@pytest.mark.parametrize("headers", [{}, {"x-ai-cluster": "real"}])
def test_a_real_provider_gets_its_name_path_and_key_over_tls(headers: dict[str, str], secret: str) -> None:
    with tls_provider() as port:
        gateway = replace(describe_gateway(), providers=(real_provider(port),), default_provider="real")
        with real_gateway(gateway) as url:
            client = {"authorization": "Bearer the client's own"}
            seen = requests.post(url + CHAT, json=QUESTION, headers=headers | client, timeout=10).json()

    assert seen["path"] == "/v1beta/openai/chat/completions"
    received = {name.lower(): value for name, value in seen["headers"].items()}
    assert received["host"] == "llm.internal"
    assert received["authorization"] == f"Bearer {secret}"


def test_a_provider_with_the_wrong_certificate_gets_nothing(secret: str) -> None:
    with tls_provider() as port:
        tls = Tls(sni="other.internal", ca_file=str(TLS / "server.pem"))
        gateway = describe_gateway()
        gateway = replace(gateway, providers=(real_provider(port, tls=tls),), default_provider="real")
        with real_gateway(gateway) as url:
            response = requests.post(url + CHAT, json=QUESTION, timeout=10)

    assert response.status_code == 503
    assert "path" not in response.json()


def test_a_key_is_nowhere_to_be_read(secret: str) -> None:
    gateway = describe_gateway()
    gateway = replace(gateway, providers=(real_provider(free_ports(1)),), default_provider="real")
    with real_gateway(gateway):
        page = f"http://127.0.0.1:{gateway.admin.port}"
        dump = requests.get(f"{page}/config_dump?include_eds", timeout=10).text

    assert "TEST_KEY" in to_yaml(render(gateway, ()))
    assert secret not in dump
    assert secret not in to_yaml(render(gateway, ()))
