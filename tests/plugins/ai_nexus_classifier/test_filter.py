"""The filter in a gateway: what the provider and the client see."""

import json

import pytest

from proxytest import ConfigurationRefusedError, Gateway

NAME = "ai-nexus-classifier"
CHAT = "/v1/chat/completions"

FORGED = {
    "x-ai-complexity": "0.9999",
    "X-AI-Tier": "strong",
    "x-ai-cluster": "free-of-charge",
    "x-ai-not-yet-invented": "1",
    "x-higress-llm-model": "best",
}
CONTROLS = {"x-ai-debug": "true", "x-ai-priority": "high", "x-router-strategy": "cost"}


def chat(text: object, **more: object) -> dict[str, object]:
    return {"model": "auto", "messages": [{"role": "user", "content": text}]} | more


def signals(headers: object) -> dict[str, str]:
    assert hasattr(headers, "items")
    return {name: value for name, value in headers.items() if name.startswith(("x-ai-", "x-higress"))}


def test_the_provider_sees_the_signals_and_the_body_as_it_was(gateway: Gateway) -> None:
    gateway.load(NAME)
    body = chat("Why does my Python function fail?", stream=True, max_tokens=9)

    exchange = gateway.post(CHAT, json=body)

    assert exchange.reply.status == 200
    assert exchange.upstream is not None
    assert exchange.upstream.json() == body
    seen = signals(exchange.upstream.headers)
    assert seen["x-ai-domain"] == "code"
    assert seen["x-ai-latency"] == "realtime"
    assert seen["x-ai-max-tokens"] == "9"
    assert seen["x-ai-requested-model"] == "auto"
    assert seen["x-ai-needs"] == "stream"
    assert 0 < float(seen["x-ai-complexity"]) < 1
    assert int(seen["x-ai-prompt-tokens"]) > 5


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("GET", "/v1/models", {}, b""),
        ("GET", CHAT, {}, b""),
        ("POST", "/upload", {"content-type": "image/png"}, b"\x89PNG"),
        ("POST", "/v1/embeddings", {"content-type": "application/json"}, b'{"input": "x"}'),
        ("POST", CHAT, {"content-type": "application/json", "content-encoding": "gzip"}, b"\x1f\x8b"),
        ("POST", "/elsewhere", {"content-type": "application/json"}, b"not JSON"),
    ],
)
def test_forged_signals_are_removed_from_every_request(
    gateway: Gateway, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    gateway.load(NAME)

    exchange = gateway.request(method, path, headers=headers | FORGED | CONTROLS, body=body)

    assert exchange.reply.status == 200
    assert exchange.upstream is not None
    assert exchange.upstream.body == body
    assert signals(exchange.upstream.headers) == {"x-ai-debug": "true", "x-ai-priority": "high"}
    assert exchange.upstream.headers["x-router-strategy"] == "cost"


def test_forged_signals_give_way_to_the_true_ones(gateway: Gateway) -> None:
    gateway.load(NAME)
    twice = [*FORGED.items(), *FORGED.items(), ("x-ai-requested-model", "b"), *CONTROLS.items()]

    exchange = gateway.post(CHAT, headers=[*twice, ("content-type", "application/json")], json=chat("hi"))

    assert exchange.upstream is not None
    seen = exchange.upstream.headers
    assert seen.get_all("x-ai-requested-model") == ["auto"]
    assert len(seen.get_all("x-ai-complexity")) == 1
    assert float(seen["x-ai-complexity"]) < 0.3
    assert set(signals(seen)) == {
        "x-ai-complexity",
        "x-ai-domain",
        "x-ai-latency",
        "x-ai-prompt-tokens",
        "x-ai-requested-model",
        "x-ai-debug",
        "x-ai-priority",
    }


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_body_in_chunks_is_one_body(gateway: Gateway, size: int) -> None:
    gateway.load(NAME)
    body = json.dumps(chat("患者发热三天，如何诊断？"), ensure_ascii=False).encode()
    chunks = tuple(body[start : start + size] for start in range(0, len(body), size))

    exchange = gateway.post(CHAT, headers={"content-type": "application/json"}, chunks=chunks)

    assert exchange.upstream is not None
    assert exchange.upstream.body == body
    assert exchange.upstream.headers["x-ai-domain"] == "medical"


def test_a_body_that_ends_with_trailers_is_read(gateway: Gateway) -> None:
    gateway.load(NAME)

    exchange = gateway.post(CHAT, json=chat("hi"), trailers={"x-checksum": "1"})

    assert exchange.upstream is not None
    assert exchange.upstream.headers["x-ai-domain"] == "general"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "The request body is not valid JSON"),
        (b"[" * 100_000, "levels deep"),
        (b"", "an empty body"),
        (b'{"messages": [{"role": "user", "content": 5}]}', "messages[0].content: expected a string"),
    ],
)
def test_what_no_model_could_answer_is_refused(gateway: Gateway, body: bytes, message: str) -> None:
    gateway.load(NAME)

    exchange = gateway.post(CHAT, headers={"content-type": "application/json"}, body=body)

    assert exchange.upstream is None
    assert exchange.reply.status == 400
    assert exchange.reply.headers["content-type"] == "application/json"
    error = exchange.reply.json()
    assert isinstance(error, dict)
    assert message in error["error"]["message"]
    assert error["error"]["type"] == "invalid_request_error"
    assert gateway.metrics["ai_nexus_classifier.refused"] == 1


def test_or_passes_when_so_configured(gateway: Gateway) -> None:
    gateway.load(NAME, {"on_invalid": "pass"})

    exchange = gateway.post(CHAT, headers={"content-type": "application/json"}, body=b"{")

    assert exchange.reply.status == 200
    assert exchange.upstream is not None
    assert signals(exchange.upstream.headers) == {}
    assert gateway.metrics["ai_nexus_classifier.passed"] == 1


def test_the_deepest_json_allowed_is_classified(gateway: Gateway) -> None:
    gateway.load(NAME)
    schema: dict[str, object] = {}
    for _ in range(190):
        schema = {"properties": schema}

    exchange = gateway.post(CHAT, json=chat("hi", tools=[{"function": {"parameters": schema}}]))

    assert exchange.reply.status == 200
    assert exchange.upstream is not None
    assert exchange.upstream.headers["x-ai-needs"] == "tools"


@pytest.mark.parametrize(
    "body",
    [
        chat("\ud800\0" * 100),
        chat([{"type": "image_url", "image_url": {"url": "data:" + "A" * 8_000_000}}]),
        chat("分析这份合同" * 300_000),
        {"messages": [{"role": "user", "content": "hi"}] * 10_000},
        {"prompt": [17] * 200_000},
    ],
)
def test_large_and_odd_requests_are_classified(gateway: Gateway, body: dict[str, object]) -> None:
    gateway.configure(buffer_limit=32 * 1024 * 1024)
    gateway.load(NAME)
    path = CHAT if "messages" in body else "/v1/completions"

    exchange = gateway.post(path, json=body)

    assert exchange.reply.status == 200
    assert exchange.upstream is not None
    assert "x-ai-complexity" in exchange.upstream.headers


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"a":' * 100_000,
        b'{"messages": [' + b"[]," * 1_000_001 + b"[]]}",
        b"{" + b",".join(b'"%d": 0' % index for index in range(100_000)) + b"}",
        b'{"a": ' + b"9" * 100_000 + b"}",
        b'"' * 3_000_000,
    ],
)
def test_attacks_are_refused_and_the_next_request_is_served(gateway: Gateway, body: bytes) -> None:
    gateway.configure(buffer_limit=32 * 1024 * 1024)
    gateway.load(NAME)

    attack = gateway.post(CHAT, headers={"content-type": "application/json"}, body=body)
    after = gateway.post(CHAT, json=chat("hi"))

    assert attack.reply.status == 400
    assert after.reply.status == 200


@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_large_body_is_refused(gateway: Gateway, in_chunks: bool) -> None:
    gateway.load(NAME, {"max_body_bytes": 100})
    body = json.dumps(chat("x" * 200)).encode()
    headers = {"content-type": "application/json"}
    if not in_chunks:
        headers["content-length"] = str(len(body))

    exchange = gateway.post(CHAT, headers=headers, chunks=(body[:50], body[50:]))

    assert exchange.reply.status == 413
    assert exchange.upstream is None


def test_a_body_that_is_announced_as_too_large_is_not_waited_for(gateway: Gateway) -> None:
    gateway.load(NAME, {"max_body_bytes": 100})

    exchange = gateway.post(CHAT, headers={"content-length": "101"}, json=chat("hi"))

    assert exchange.reply.status == 413
    assert exchange.upstream is None


def test_or_passes_without_signals_when_so_configured(gateway: Gateway) -> None:
    gateway.load(NAME, {"max_body_bytes": 100, "on_too_large": "pass"})

    exchange = gateway.post(CHAT, headers=FORGED, json=chat("x" * 200))

    assert exchange.reply.status == 200
    assert exchange.upstream is not None
    assert signals(exchange.upstream.headers) == {}


def test_what_was_classified_is_counted(gateway: Gateway) -> None:
    gateway.load(NAME)

    gateway.post(CHAT, json=chat("What are the symptoms of diabetes?"))
    gateway.post(CHAT, json=chat("What are the symptoms of asthma?"))
    gateway.post(CHAT, json=chat("garden " * 1300))

    assert gateway.metrics["ai_nexus_classifier.medical.realtime"] == 2
    assert gateway.metrics["ai_nexus_classifier.general.batch"] == 1


def test_a_wrong_configuration_is_refused(gateway: Gateway) -> None:
    with pytest.raises(ConfigurationRefusedError):
        gateway.load(NAME, {"weights": {"code": "high"}})


def test_a_rule_of_higress_has_a_configuration_of_its_own(gateway: Gateway) -> None:
    gateway.load(
        NAME,
        {
            "on_invalid": "pass",
            "_rules_": [{"_match_domain_": ["strict.example"], "on_invalid": "refuse"}],
        },
    )

    def status(authority: str) -> int:
        headers = {":authority": authority, "content-type": "application/json"}
        return gateway.post(CHAT, headers=headers, body=b"{").reply.status

    assert status("other.example") == 200
    assert status("strict.example") == 400


def test_no_prompt_is_logged(gateway: Gateway) -> None:
    gateway.load(NAME)

    gateway.post(CHAT, json=chat("my secret"))
    gateway.post(CHAT, headers={"content-type": "application/json"}, body=b'{"my secret"')

    assert not any("secret" in record.message for record in gateway.logs)
