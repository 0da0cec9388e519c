"""What Envoy does by itself, as the renderer has told it to: routes, limits, errors, keys and TLS."""

import contextlib
import http.client
import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from nexus.controls import ProviderControl
from nexus.description import Gateway, Key, Limits, Provider, Service, Timeouts, Tls
from nexus.live_directory import LiveDirectory
from nexus.ports import free_ports
from nexus.render import BOOTSTRAP, render, render_files, to_yaml
from nexus.testing import (
    RunningEnvoy,
    RunningGateway,
    describe_gateway,
    running_envoy,
    running_gateway,
    running_providers,
)

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


@pytest.mark.parametrize("values", [["inner"], ["inner", "openai"]])
def test_no_request_gets_to_a_service(values: list[str]) -> None:
    """Nor by naming it twice: Envoy takes the first of two values, and a matcher sees both."""
    with running_providers("inner") as inner:
        service = Service(name="inner", host="127.0.0.1", port=inner["inner"].port)
        described = replace(describe_gateway(), services=(service,))
        with running_gateway(gateway=described) as gateway:
            connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
            connection.putrequest("GET", "/v1/models")
            for value in values:
                connection.putheader("x-ai-cluster", value)
            connection.endheaders()
            response = connection.getresponse()
            error = json.loads(response.read())["error"]
            connection.close()

            assert (response.status, error["code"]) == (503, "no_healthy_upstream")
            assert post(gateway, {"x-ai-cluster": "google"}).status_code == 200
        assert inner["inner"].requests_in_all() == 0


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


class Keyed:
    """A gateway in a directory, with two providers that have keys and one that has none."""

    def __init__(self, directory: Path, providers: dict[str, ProviderControl], keys: dict[str, Key]) -> None:
        described = describe_gateway()
        self.gateway = replace(
            described,
            access_log="stdout",
            providers=tuple(
                replace(provider, port=providers[provider.name].port, key=keys.get(provider.name))
                for provider in described.providers
            ),
        )
        self.providers = providers
        self.url = f"http://127.0.0.1:{self.gateway.listeners[0].port}"
        self.directory = LiveDirectory(directory)

    def publish(self) -> None:
        self.directory.publish(render_files(self.gateway, (), self.directory.path, edition=""))

    @contextlib.contextmanager
    def running(self, log_level: str = "warning") -> Iterator[RunningEnvoy]:
        self.publish()
        port = self.gateway.listeners[0].port
        with running_envoy(self.directory.path / BOOTSTRAP, port=port, log_level=log_level) as envoy:
            yield envoy

    def ask(self, provider: str) -> requests.Response:
        headers = {"x-ai-cluster": provider, "authorization": "Bearer the client's own"}
        return requests.post(self.url + CHAT, json=QUESTION, headers=headers, timeout=10)

    def key_at(self, provider: str) -> str | None:
        """Return what *provider* is sent as a key."""
        self.providers[provider].forget_requests()
        assert self.ask(provider).status_code == 200
        [request] = self.providers[provider].requests()
        [value] = request.header_values("authorization")
        return value


@pytest.fixture(scope="module")
def fakes() -> Iterator[dict[str, ProviderControl]]:
    with running_providers() as providers:
        yield providers


@pytest.fixture
def keyed(tmp_path: Path, fakes: dict[str, ProviderControl], monkeypatch: pytest.MonkeyPatch) -> Keyed:
    monkeypatch.setenv("TEST_KEY", "key-of-openai")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "google").write_text("key-of-google\n")
    keys = {
        "openai": Key(variable="TEST_KEY"),
        "google": Key(file=tmp_path / "keys" / "google"),
        "moonshot": Key(file=tmp_path / "keys" / "moonshot"),
    }
    return Keyed(tmp_path / "envoy", fakes, keys)


def test_a_key_gets_to_its_provider_alone(keyed: Keyed) -> None:
    with keyed.running():
        assert keyed.key_at("openai") == "Bearer key-of-openai"
        assert keyed.key_at("google") == "Bearer key-of-google"
        assert keyed.key_at("anthropic") == "Bearer the client's own"


@pytest.mark.parametrize("log_level", ["warning", "trace"])
def test_a_key_is_nowhere_to_be_read(keyed: Keyed, log_level: str) -> None:
    page = f"http://127.0.0.1:{keyed.gateway.admin.port}"
    with keyed.running(log_level) as envoy:
        answers = [keyed.ask("openai"), keyed.ask("google")]
        shown = [
            requests.get(page + path, timeout=10).text
            for path in ("/config_dump?include_eds", "/clusters", "/stats", "/server_info", "/listeners")
        ]
    written = [file.read_text() for file in keyed.directory.path.iterdir()]
    sent = [f"{answer.headers} {answer.text}" for answer in answers]

    assert "TEST_KEY" in "".join(written)
    assert log_level != "trace" or any("the client's own" in line for line in envoy.logs)
    for text in [*shown, *written, *sent, *envoy.logs]:
        assert "key-of-openai" not in text
        assert "key-of-google" not in text


def test_a_static_key_is_nowhere_to_be_read(secret: str) -> None:
    gateway = describe_gateway()
    gateway = replace(gateway, providers=(real_provider(free_ports(1)),), default_provider="real")
    with real_gateway(gateway):
        page = f"http://127.0.0.1:{gateway.admin.port}"
        dump = requests.get(f"{page}/config_dump?include_eds", timeout=10).text

    assert "TEST_KEY" in to_yaml(render(gateway, ()))
    assert secret not in dump
    assert secret not in to_yaml(render(gateway, ()))


def test_without_its_key_a_provider_is_not_asked_and_the_others_are(keyed: Keyed) -> None:
    with keyed.running():
        response = keyed.ask("moonshot")

        assert response.status_code == 503
        assert response.json()["error"] == {
            "message": "the gateway has no key for this provider",
            "type": "server_error",
            "param": None,
            "code": "failed_to_inject_credential",
        }
        assert keyed.key_at("openai") == "Bearer key-of-openai"


def rename(key: Path, text: str) -> None:
    new = key.with_name("new")
    new.write_text(text)
    new.replace(key)


def test_a_key_file_that_is_replaced_counts_at_once(keyed: Keyed, tmp_path: Path) -> None:
    with keyed.running():
        rename(tmp_path / "keys" / "google", "rotated")
        rename(tmp_path / "keys" / "moonshot", "new")

        wait_until(lambda: keyed.key_at("google") == "Bearer rotated")
        wait_until(lambda: keyed.ask("moonshot").status_code == 200)
        assert keyed.key_at("moonshot") == "Bearer new"


@pytest.mark.parametrize("how", ["in place", "by link"])
def test_any_other_rotation_counts_when_the_files_are_written_again(
    keyed: Keyed, tmp_path: Path, how: str
) -> None:
    """As `render --watch` does when it sees another file, at the end of a link of Kubernetes' too."""
    with keyed.running():
        assert keyed.key_at("google") == "Bearer key-of-google"
        if how == "in place":
            (tmp_path / "keys" / "google").write_text("rotated")
        else:
            (tmp_path / "keys").rename(tmp_path / "before")
            (tmp_path / "next").mkdir()
            (tmp_path / "next" / "google").write_text("rotated")
            (tmp_path / "keys").symlink_to("next")

        keyed.publish()

        wait_until(lambda: keyed.key_at("google") == "Bearer rotated")


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
