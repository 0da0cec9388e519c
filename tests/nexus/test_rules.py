from dataclasses import replace

import pytest

from nexus.description import Provider, Route
from nexus.rules import ResolvedRules, resolve_rules
from nexus.testing import describe_gateway, describe_plugin
from nexus.wasmplugin import Rule

ROUTES = (
    Route(name="chat", path_prefix="/v1/chat", domains=("llm.example.com",)),
    Route(name="team/all", domains=("*.team.example.com",)),
)
PROVIDERS = (
    Provider(name="openai", host="127.0.0.1", port=443),
    Provider(name="google", host="127.0.0.1", port=8443, service="llm-google.internal.dns"),
)
GATEWAY = replace(describe_gateway(), routes=ROUTES, providers=PROVIDERS)


def resolve(*rules: Rule, default: dict[str, object] | None = None) -> ResolvedRules:
    plugin = replace(describe_plugin("p", {"a": 1}), rules=rules)
    return resolve_rules(plugin if default is None else replace(plugin, default_config=default), GATEWAY)


def rule(**names: tuple[str, ...]) -> Rule:
    return Rule(where="spec.matchRules[0]", config={"b": 2}, **names)


@pytest.mark.parametrize(
    "names",
    [
        {"routes": ("chat",)},
        {"routes": ("team/all",)},
        {"domains": ("llm.example.com",)},
        {"domains": ("LLM.example.com",)},
        {"domains": ("*.example.com",)},
        {"domains": ("llm.*",)},
        {"domains": ("a.team.example.com",)},
        {"domains": ("*.b.team.example.com",)},
        {"domains": ("*example.com",)},
        {"domains": ("a.*",)},
        {"services": ("openai",)},
        {"services": ("llm-google.internal.dns:8443",)},
        {"routes": ("chat",), "services": ("google:8443",)},
    ],
)
def test_what_exists_is_not_worth_a_word(names: dict[str, tuple[str, ...]]) -> None:
    resolved = resolve(rule(**names))

    assert (resolved.problems, resolved.notices) == ((), ())


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (
            {"routes": ("chatt",)},
            "ingress[0]: matches nothing: expected a route (chat, team/all), got the string 'chatt', "
            "did you mean 'chat'?",
        ),
        (
            {"domains": ("example.com",)},
            "domain[0]: matches nothing: expected a domain of a route (llm.example.com, *.team.example.com), "
            "got the string 'example.com', did you mean 'llm.example.com'?",
        ),
        (
            {"domains": ("team.example.com",)},
            "domain[0]: matches nothing: expected a domain of a route (llm.example.com, *.team.example.com), "
            "got the string 'team.example.com', did you mean '*.team.example.com'?",
        ),
        (
            {"services": ("openai:8443",)},
            "service[0]: matches nothing: expected a provider (openai, google, llm-google.internal.dns), "
            "got the string 'openai:8443', did you mean 'openai:443'?",
        ),
        (
            {"routes": ("chat",), "services": ("moon",)},
            "service[0]: matches nothing: expected a provider (openai, google, llm-google.internal.dns), "
            "got the string 'moon'",
        ),
    ],
)
def test_a_rule_that_matches_nothing_is_a_problem(names: dict[str, tuple[str, ...]], problem: str) -> None:
    assert resolve(rule(**names)).problems == (f"p.yaml: spec.matchRules[0].{problem}",)


def test_a_name_too_many_is_a_notice() -> None:
    resolved = resolve(rule(routes=("chat", "higress-system/chat")))

    assert resolved.problems == ()
    assert resolved.notices == (
        "p.yaml: spec.matchRules[0].ingress[1]: matches nothing: expected a route (chat, team/all), "
        "got the string 'higress-system/chat'",
    )


def test_any_domain_matches_where_a_route_is_for_all() -> None:
    gateway = replace(GATEWAY, routes=(*ROUTES, Route(name="rest")))
    plugin = replace(describe_plugin("p", {"a": 1}), rules=(rule(domains=("elsewhere.org",)),))

    assert resolve_rules(plugin, gateway).problems == ()


def test_a_domain_beside_a_route_is_said_to_be_ignored() -> None:
    assert resolve(rule(routes=("chat",), domains=("nowhere.org",))).notices == (
        "p.yaml: spec.matchRules[0].domain: is not looked at, for there is ingress beside it",
    )


def test_services_become_clusters() -> None:
    services = ("llm-google.internal.dns", "google:8443", "openai:443", "on-higress.dns")

    [resolved] = resolve(rule(services=services)).plugin.rules

    assert resolved.services == ("google", "openai", "on-higress.dns")
    assert resolved.document == {"b": 2, "_match_service_": ["google", "openai", "on-higress.dns"]}


def test_an_empty_default_beside_rules_is_said_to_be_none() -> None:
    assert resolve(rule(routes=("chat",)), default={}).notices == (
        "p.yaml: spec.defaultConfig: is empty, so what no rule matches passes the plugin by",
    )
