"""The classifier in a real Envoy, as clients and providers see it."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
import requests

from nexus.testing import RunningGateway, running_gateway

CHAT = "/v1/chat/completions"
SIGNALS = {
    "x-ai-complexity",
    "x-ai-domain",
    "x-ai-latency",
    "x-ai-prompt-tokens",
    "x-ai-requested-model",
}


@pytest.fixture
def client(gateway: RunningGateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.base_url}/v1", api_key="none", max_retries=0) as client:
        yield client


def chat(text: str, **more: object) -> dict[str, object]:
    return {"model": "auto", "messages": [{"role": "user", "content": text}]} | more


def seen(gateway: RunningGateway) -> dict[str, list[str]]:
    """Return the headers of the last request that reached the default provider, each with all its values."""
    headers: dict[str, list[str]] = {}
    for name, value in gateway.providers["openai"].requests(last=1)[0].headers:
        headers.setdefault(name.lower(), []).append(value)
    return headers


def test_a_normal_answer(gateway: RunningGateway, client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": "Fix this Python function: def f(x): return x +"}]
    )

    assert completion.usage is not None
    assert completion.usage.completion_tokens > 0
    assert (completion.choices[0].message.content or "").startswith("openai answers as auto")
    headers = seen(gateway)
    assert set(headers) >= SIGNALS
    assert headers["x-ai-domain"] == ["code"]
    assert headers["x-ai-requested-model"] == ["auto"]
    assert 0 <= float(headers["x-ai-complexity"][0]) <= 1
    assert int(headers["x-ai-prompt-tokens"][0]) > 5


def test_a_streamed_answer(gateway: RunningGateway, client: openai.OpenAI) -> None:
    gateway.providers["openai"].set_fault(answer_tokens=50)
    stream = client.chat.completions.create(
        model="gpt-5.5",
        messages=[{"role": "user", "content": "患者出现发热和咳嗽，请分析可能的诊断。"}],
        stream=True,
        stream_options={"include_usage": True},
    )

    chunks = list(stream)

    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 50
    headers = seen(gateway)
    assert headers["x-ai-domain"] == ["medical"]
    assert headers["x-ai-needs"] == ["stream"]
    assert headers["x-ai-requested-model"] == ["gpt-5.5"]


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/v1/completions", {"model": "auto", "prompt": "Once upon a time"}),
        ("/v1/responses", {"model": "auto", "input": "Once upon a time"}),
        ("/v1/messages", chat("Once upon a time", max_tokens=10)),
    ],
)
def test_the_other_apis_are_classified_too(
    gateway: RunningGateway, path: str, document: dict[str, object]
) -> None:
    response = requests.post(gateway.base_url + path, json=document, timeout=10)

    assert response.status_code == 200
    assert set(seen(gateway)) >= SIGNALS


def test_copies_a_client_sent_are_removed(gateway: RunningGateway) -> None:
    forged = {name.upper(): "forged" for name in SIGNALS}
    forged |= {"X-AI-Cluster": "google", "x-ai-model": "forged", "x-ai-not-yet-invented": "forged"}

    requests.post(gateway.base_url + CHAT, json=chat("Hi"), headers=forged, timeout=10)

    headers = seen(gateway)
    assert "forged" not in [value for values in headers.values() for value in values]
    assert all(len(headers[name]) == 1 for name in SIGNALS)
    assert "x-ai-cluster" not in headers


def test_controls_are_the_clients_to_send(gateway: RunningGateway) -> None:
    controls = {"x-ai-debug": "true", "x-ai-priority": "low", "x-router-strategy": "ab"}

    requests.post(gateway.base_url + CHAT, json=chat("Hi"), headers=controls, timeout=10)

    headers = seen(gateway)
    assert {name: headers[name] for name in controls} == {name: [value] for name, value in controls.items()}


def test_the_body_reaches_the_provider_byte_for_byte(gateway: RunningGateway) -> None:
    body = (
        '{ "messages":[ {"content":"h\\u00e9 世界", "role":"user"}],\n\t"model" :"auto", "x": 1.50 }'.encode()
    )

    requests.post(
        gateway.base_url + CHAT, body, headers={"content-type": "application/json"}, timeout=10
    ).raise_for_status()

    [request] = gateway.providers["openai"].requests()
    assert request.body == body


def test_what_is_no_question_to_a_model_passes_unclassified(gateway: RunningGateway) -> None:
    response = requests.get(f"{gateway.base_url}/v1/models", headers={"x-ai-domain": "forged"}, timeout=10)

    assert response.json()["data"][0]["id"] == "gpt-5.5"
    assert not set(seen(gateway)) & SIGNALS


def test_streams_at_the_same_time_do_not_mix(gateway: RunningGateway) -> None:
    """Each request must get the signals of its own body."""
    prompts = ["word " * number for number in range(10, 410)]

    def send(prompt: str) -> int:
        return requests.post(gateway.base_url + CHAT, json=chat(prompt), timeout=30).status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(send, prompts)) == {200}

    estimates: dict[int, int] = {}
    for request in gateway.providers["openai"].requests():
        words = json.loads(request.body or b"")["messages"][0]["content"].count("word")
        estimates[words] = int(request.header("x-ai-prompt-tokens") or 0)
    assert len(estimates) == len(prompts)
    ordered = [estimates[words] for words in sorted(estimates)]
    assert ordered == sorted(ordered)
    assert ordered[-1] > 10 * ordered[0]


def test_a_providers_fault_reaches_the_client_as_it_is(gateway: RunningGateway) -> None:
    gateway.providers["openai"].set_fault(status=429, retry_after_s=3)

    response = requests.post(gateway.base_url + CHAT, json=chat("Hi"), timeout=10)

    assert (response.status_code, response.headers["retry-after"]) == (429, "3")


def test_rules_of_a_domain_replace_the_configuration(gateway: RunningGateway) -> None:
    config = {
        "batch_words": 1,
        "_rules_": [{"_match_domain_": ["*.example.com"], "batch_words": 100_000}],
    }
    module = gateway.stack.gateway.module
    with running_gateway({"ai-nexus-classifier": config}, module=module, workers=2) as ruled:
        latencies = {}
        for host in ("api.example.com", "api.example.org"):
            requests.post(
                ruled.base_url + CHAT, json=chat("three short words"), headers={"host": host}, timeout=10
            ).raise_for_status()
            latencies[host] = seen(ruled)["x-ai-latency"]

    assert latencies == {"api.example.com": ["realtime"], "api.example.org": ["batch"]}
