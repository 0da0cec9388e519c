"""Ledgers in Redis: is there a way to it."""

from dataclasses import replace

import pytest

from nexus.description import Gateway, Service
from nexus.ledgers import held_against_cluster, held_against_gateway, held_against_guards
from nexus.testing import describe_gateway, describe_plugin
from nexus.wasmplugin import Rule, WasmPlugin

REDIS = {"kind": "redis", "cluster": "webdis"}


def guard(ledger: object) -> WasmPlugin:
    return describe_plugin("ai-budget-guard", {"ledger": ledger})


@pytest.fixture
def gateway() -> Gateway:
    return replace(describe_gateway(), services=(Service(name="webdis", host="10.0.0.9", port=7379),))


@pytest.mark.parametrize("ledger", [REDIS, {"kind": "embedded"}, None, 7, {"kind": "redis"}])
def test_what_is_there_or_is_the_plugins_to_judge_passes(gateway: Gateway, ledger: object) -> None:
    assert held_against_gateway(guard(ledger), gateway) == []


def test_a_service_that_is_not_there_is_refused(gateway: Gateway) -> None:
    assert held_against_gateway(guard(REDIS | {"cluster": "webdiss"}), gateway) == [
        "ai-budget-guard.yaml: spec.defaultConfig.ledger.cluster: expected a service of the gateway "
        "(webdis), got the string 'webdiss', did you mean 'webdis'?"
    ]


def test_so_is_a_provider_for_clients_get_there(gateway: Gateway) -> None:
    [line] = held_against_gateway(guard(REDIS | {"cluster": "openai"}), gateway)

    assert "expected a service of the gateway (webdis), got the string 'openai'" in line


def test_a_gateway_without_services_says_where_they_belong() -> None:
    [line] = held_against_gateway(guard(REDIS), describe_gateway())

    assert line.endswith("got the string 'webdis'; it has none, see services in gateway.yaml")


def test_rules_have_ledgers_too(gateway: Gateway) -> None:
    rule = Rule(where="spec.matchRules[0]", config={"ledger": REDIS | {"cluster": "x"}}, routes=("default",))
    plugin = replace(guard(REDIS), rules=(rule,))

    [line] = held_against_gateway(plugin, gateway)

    assert line.startswith("ai-budget-guard.yaml: spec.matchRules[0].config.ledger.cluster: ")


def test_the_transport_of_higress_is_not_there_on_stock_envoy(gateway: Gateway) -> None:
    assert held_against_gateway(guard(REDIS | {"transport": "higress"}), gateway) == [
        "ai-budget-guard.yaml: spec.defaultConfig.ledger.transport: expected webdis: "
        "stock Envoy has no calls to Redis itself"
    ]


def test_on_higress_another_name_is_expected() -> None:
    assert held_against_cluster(guard(REDIS | {"cluster": "outbound|7379||webdis.dns"})) == []
    assert held_against_cluster(guard(REDIS)) == [
        "ai-budget-guard.yaml: spec.defaultConfig.ledger.cluster: Higress calls its clusters "
        "outbound|PORT||SERVICE, and this is 'webdis'"
    ]


def test_an_announcer_looks_where_a_guard_keeps_its_accounts() -> None:
    limits = [{"name": "month", "limit_usd": 25}]
    guards = [describe_plugin("ai-budget-guard", {"limits": limits, "ledger": REDIS})]
    place = "ai-budget-guard.yaml: spec.defaultConfig"

    def noted(**config: object) -> list[str]:
        announcer = describe_plugin("ai-budget-guard", {"role": "announce", "limits": limits} | config)
        return held_against_guards([announcer, *guards])

    assert noted(ledger=REDIS | {"prefix": "nexus:budget", "timeout_s": 2}) == []
    assert noted() == [
        f"{place}.ledger: tells of accounts in shared data, "
        "and guards keep theirs in Redis under nexus:budget"
    ]
    assert noted(ledger=REDIS, limits=[{"name": "moth"}, 7]) == [
        f"{place}.limits: no guard has the limit 'moth', so nothing is ever spent of it"
    ]
