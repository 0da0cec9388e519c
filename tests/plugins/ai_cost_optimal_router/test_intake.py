"""Signals are believed where they may be; what they do not say is read from the body, or has its default."""

import json
from collections.abc import Mapping

import pytest

from ai_cost_optimal_router import Config
from ai_cost_optimal_router.intake import read_situation
from ai_cost_optimal_router.situation import Situation
from aigateway.chat import Format, Need
from aigateway.refusals import InvalidRequestError
from aigateway.signals import encode_text

CHAT = "/v1/chat/completions"
TRUSTING = Config()
WARY = Config(trust_signals=False)
SIGNALS = {
    "x-ai-complexity": "0.8123",
    "x-ai-domain": "legal",
    "x-ai-latency": "batch",
    "x-ai-prompt-tokens": "1234",
    "x-ai-max-tokens": "99",
    "x-ai-requested-model": "gpt-5.5",
    "x-ai-needs": "vision,stream",
    "x-ai-tier": "strong",
    "x-ai-budget-remaining": "0.25",
}
BODY = json.dumps(
    {
        "model": "auto",
        "messages": [{"role": "user", "content": "Why is the sky blue?"}],
        "max_tokens": 7,
        "tools": [{"type": "function", "function": {"name": "look_up"}}],
    }
).encode()


def request(path: str = CHAT, **more: str) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return {":method": "POST", ":path": path, "content-type": "application/json"} | named


def situation(headers: Mapping[str, str], body: bytes = BODY, rules: Config = TRUSTING) -> Situation:
    found = read_situation(headers, body, 1_000.0, rules)
    assert found is not None
    return found


def test_signals_say_what_there_is_to_know() -> None:
    headers = request(x_mse_consumer="acme", x_request_id="r-1", x_router_strategy="ab") | SIGNALS

    assert situation(headers, b"never looked at") == Situation(
        prompt_tokens=1_234,
        max_tokens=99,
        needs=frozenset({Need.VISION, Need.STREAM}),
        format=Format.CHAT,
        domain="legal",
        latency="batch",
        complexity=0.8123,
        tier="strong",
        requested_model="gpt-5.5",
        strategy="ab",
        consumer="acme",
        request_id="r-1",
        budget_nano_usd=250_000_000,
        now_s=1_000.0,
    )


@pytest.mark.parametrize(("headers", "rules"), [({}, TRUSTING), (SIGNALS, WARY)])
def test_without_signals_the_body_is_read(headers: dict[str, str], rules: Config) -> None:
    found = situation(request(x_mse_consumer="acme") | headers, rules=rules)

    assert found == Situation(
        prompt_tokens=found.prompt_tokens,
        max_tokens=7,
        needs=frozenset({Need.TOOLS}),
        format=Format.CHAT,
        requested_model="auto",
        consumer="acme",
        now_s=1_000.0,
    )
    assert 10 < found.prompt_tokens < 40


@pytest.mark.parametrize("name", ["gpt-5.5", "models/über model %41", "患者\n", "a,b%"])
def test_any_model_name_comes_through(name: str) -> None:
    headers = request() | SIGNALS | {"x-ai-requested-model": encode_text(name)}

    assert situation(headers).requested_model == name


@pytest.mark.parametrize(
    ("signal", "value", "attribute", "expected"),
    [
        ("x-ai-domain", "cooking", "domain", "general"),
        ("x-ai-latency", "soon", "latency", "realtime"),
        ("x-ai-complexity", "high", "complexity", 0.5),
        ("x-ai-complexity", "1.5", "complexity", 1.0),
        ("x-ai-complexity", "nan", "complexity", 0.5),
        ("x-ai-max-tokens", "-1", "max_tokens", None),
        ("x-ai-max-tokens", "9" * 5_000, "max_tokens", None),
        ("x-ai-needs", "vision,telepathy,", "needs", frozenset({Need.VISION})),
        ("x-ai-budget-remaining", "-3", "budget_nano_usd", 0),
        ("x-ai-budget-remaining", "much", "budget_nano_usd", 0),
        ("x-ai-budget-remaining", "0", "budget_nano_usd", 0),
    ],
)
def test_signals_that_say_nothing_sensible(signal: str, value: str, attribute: str, expected: object) -> None:
    headers = request() | SIGNALS | {signal: value}

    assert getattr(situation(headers), attribute) == expected


def test_a_prompt_length_that_is_none_is_measured() -> None:
    assert 10 < situation(request() | SIGNALS | {"x-ai-prompt-tokens": "many"}).prompt_tokens < 40


@pytest.mark.parametrize(
    ("path", "document", "format"),
    [
        ("/v1/completions", {"prompt": "x"}, Format.COMPLETION),
        ("/openai/v1/responses?x=1", {"input": "x"}, Format.RESPONSES),
        ("/v1/messages", {"messages": [{"role": "user", "content": "x"}]}, Format.ANTHROPIC),
        ("/elsewhere", {"messages": [{"role": "user", "content": "x"}]}, Format.CHAT),
    ],
)
@pytest.mark.parametrize("headers", [{}, SIGNALS])
def test_every_api_is_known_by_its_path_or_its_body(
    path: str, document: dict[str, object], format: Format, headers: dict[str, str]
) -> None:
    body = json.dumps(document | {"model": "auto"}).encode()

    assert situation(request(path) | headers, body).format is format


@pytest.mark.parametrize("body", [b"{}", b"not JSON", b"[1]", b'{"messages": "x"}', b'{"prompt": [{}]}'])
def test_elsewhere_whatever_is_no_request_to_a_model_is_none(body: bytes) -> None:
    assert read_situation(request("/elsewhere"), body, 0.0, TRUSTING) is None


@pytest.mark.parametrize("body", [b"{}", b"not JSON", b"[1]", b'{"messages": [{"role": 1}]}'])
def test_on_a_known_path_what_no_model_could_answer_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        read_situation(request(), body, 0.0, TRUSTING)


def test_a_measured_request_of_no_known_api_fits_every_model() -> None:
    assert situation(request("/elsewhere") | SIGNALS, b"{}").format is None
