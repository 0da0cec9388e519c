"""Rules for a route, a domain or a service hold on stock Envoy as they do on Higress."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from nexus.description import Provider, Route
from nexus.rules import resolve_rules
from nexus.testing import RunningGateway, describe_gateway, describe_plugin, running_gateway
from nexus.wasmplugin import Rule

CHAT = "/v1/chat/completions"
QUESTION = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
ROUTES = (
    Route(name="team/chat", path_prefix="/v1/chat", domains=("llm.example.com", "*.llm.example.com")),
    Route(name="messages", path_prefix="/v1/messages", provider="anthropic", response_s=0.3),
    Route(name="google", path_prefix="/v1/chat", domains=("google.internal",), provider="google"),
    Route(name="default", domains=("localhost", "other.example.com")),
)
RULES = (
    Rule(where="0", config={"mark": "wrong service"}, routes=("messages",), services=("moonshot",)),
    Rule(where="1", config={"mark": "route and service"}, routes=("messages",), services=("anthropic",)),
    Rule(where="2", config={"mark": "route"}, routes=("team/chat", "nowhere")),
    Rule(where="3", config={"mark": "domain"}, domains=("*.example.com",)),
    Rule(where="4", config={"mark": "service"}, services=("llm-google.internal.dns:443",)),
)


@pytest.fixture(scope="module")
def ruled_gateway(probe_module: Path) -> Iterator[RunningGateway]:
    """A gateway whose probe comes after a filter that chooses the provider."""
    gateway = replace(describe_gateway(), routes=ROUTES)
    described = {
        "google": Provider(name="google", host="127.0.0.1", port=443, service="llm-google.internal.dns")
    }
    providers = tuple(described.get(provider.name, provider) for provider in gateway.providers)
    gateway = replace(gateway, providers=providers)
    probe = replace(describe_plugin("probe", {"mark": "none"}), rules=RULES)
    resolved = resolve_rules(probe, gateway)
    assert resolved.problems == ()
    plugins = [describe_plugin("chooser", {}), resolved.plugin]
    with running_gateway(plugins, module=probe_module, gateway=gateway) as running:
        yield running


def mark(gateway: RunningGateway, host: str, path: str = CHAT, want: str | None = None) -> str | None:
    headers = {"host": host} | ({"x-want": want} if want else {})
    response = requests.post(gateway.base_url + path, json=QUESTION, headers=headers, timeout=10)
    return response.headers.get("x-mark")


@pytest.mark.parametrize(
    ("host", "path", "want", "expected"),
    [
        ("llm.example.com", CHAT, None, "route"),
        ("eu.llm.example.com:8080", CHAT, None, "route"),
        ("llm.example.com", "/v1/chat", None, "route"),
        ("llm.example.com", CHAT, "google", "route"),
        ("any.host", "/v1/messages", None, "route and service"),
        ("other.example.com", CHAT, None, "domain"),
        ("other.example.com", CHAT, "google", "domain"),
        ("OTHER.example.com:80", CHAT, None, "domain"),
        ("google.internal", CHAT, None, "service"),
        # The service is that of the route, as on Higress, and not what a plugin has chosen.
        ("google.internal", CHAT, "openai", "service"),
        ("localhost", CHAT, None, "none"),
        ("localhost", CHAT, "google", "none"),
    ],
)
def test_a_rule_holds_for_what_it_matches(
    ruled_gateway: RunningGateway, host: str, path: str, want: str | None, expected: str
) -> None:
    assert mark(ruled_gateway, host, path, want) == expected


def test_a_route_may_have_a_provider_of_its_own(ruled_gateway: RunningGateway) -> None:
    ruled_gateway.reset()

    mark(ruled_gateway, "any.host", "/v1/messages")

    assert ruled_gateway.providers["anthropic"].requests_in_all() == 1


def test_a_route_may_have_timeouts_of_its_own(ruled_gateway: RunningGateway) -> None:
    ruled_gateway.reset()
    ruled_gateway.providers["anthropic"].set_fault(latency_ms=2000)

    response = requests.post(ruled_gateway.base_url + "/v1/messages", json=QUESTION, timeout=10)

    assert response.status_code == 504


@pytest.mark.parametrize(
    ("host", "path"),
    [("llm.example.com", "/v1/models"), ("llm.example.com", "/v1/chatter"), ("unknown.host", "/v1/chat")],
)
def test_what_no_route_takes_is_an_openai_error(ruled_gateway: RunningGateway, host: str, path: str) -> None:
    response = requests.post(ruled_gateway.base_url + path, json=QUESTION, headers={"host": host}, timeout=10)

    assert response.status_code == 404
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert response.json()["error"]["code"] == "route_not_found"
