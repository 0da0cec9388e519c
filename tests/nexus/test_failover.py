"""What the renderer adds for failover, and that it adds nothing without the breaker's asking for it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ai_provider_circuit_breaker.handover import NEXT_CLUSTER
from nexus.deployment import read_deployment
from nexus.description import Gateway, Key, Provider, Retries, Timeouts
from nexus.gateway_file import read_gateway
from nexus.reading import DescriptionError
from nexus.render import render, render_files
from nexus.testing import describe_gateway, describe_plugin
from nexus.wasmplugin import WasmPlugin

BREAKER = "ai-provider-circuit-breaker"
UPSTREAM = describe_plugin(BREAKER, {"attempts": "upstream", "half_life_s": 60})
DESCRIPTION = """
listeners: [{port: 10000}]
default_provider: openai
providers: [{name: openai, host: 127.0.0.1, port: 10100}]
"""


def describe() -> Gateway:
    """A gateway with a provider at an address, one with a name and a key, and one with a path."""
    providers = (
        Provider(name="openai", host="127.0.0.1", port=1001),
        Provider(name="google", host="api.example", port=443, path_prefix="/v1beta/openai"),
        Provider(name="other", host="other.example", port=443, key=Key(variable="KEY")),
    )
    return replace(
        describe_gateway(),
        providers=providers,
        timeouts=Timeouts(connect_s=5, headers_s=10, idle_s=600, response_s=0),
    )


def resources(gateway: Gateway, *plugins: WasmPlugin) -> Any:
    bootstrap: Any = render(gateway, plugins)
    return bootstrap["static_resources"]


def clusters(gateway: Gateway, *plugins: WasmPlugin) -> dict[str, Any]:
    return {cluster["name"]: cluster for cluster in resources(gateway, *plugins)["clusters"]}


def filters(cluster: dict[str, Any]) -> list[Any]:
    [options] = cluster["typed_extension_protocol_options"].values()
    found = options.get("http_filters", [])
    assert isinstance(found, list)
    return found


def virtual_host(gateway: Gateway, *plugins: WasmPlugin) -> Any:
    [listener] = resources(gateway, *plugins)["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return manager["route_config"]["virtual_hosts"][0]


@pytest.mark.parametrize("plugins", [[], [describe_plugin(BREAKER, {})], [describe_plugin("other", {})]])
def test_without_the_breakers_asking_everything_is_as_ever(plugins: list[WasmPlugin]) -> None:
    text = json.dumps(render(describe(), plugins))

    assert not any(word in text for word in ("ai-provider-attempt", "retry_budget", "matcher", "STRICT_DNS"))


def test_every_provider_has_the_filter_before_its_key_and_the_codec_last() -> None:
    names = {
        name: [entry["name"] for entry in filters(cluster)]
        for name, cluster in clusters(describe(), UPSTREAM).items()
    }

    codec = "envoy.filters.http.upstream_codec"
    assert names == {
        "openai": ["ai-provider-attempt", codec],
        "google": ["ai-provider-attempt", codec],
        "other": ["ai-provider-attempt", "key", codec],
    }


def test_the_filter_has_the_breakers_configuration_and_its_vm() -> None:
    gateway = describe()
    found = resources(gateway, UPSTREAM)
    upstream = filters(found["clusters"][0])[0]["typed_config"]["config"]
    chain = found["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    downstream = chain[0]["typed_config"]["config"]

    assert upstream["root_id"] == "ai-provider-attempt"
    assert upstream["vm_config"] == downstream["vm_config"]
    assert json.loads(upstream["configuration"]["value"]) == {
        "attempts": "upstream",
        "half_life_s": 60,
        "gateway": {
            "timeout_s": 120,
            "path_prefixes": {"google": "/v1beta/openai"},
            "keyed_clusters": ["other"],
        },
    }
    assert downstream["configuration"] == upstream["configuration"]


def test_a_request_whose_key_is_not_there_is_the_providers_to_refuse() -> None:
    """Otherwise the filter of the key would answer the caller, and nobody else would be tried."""
    [key] = [entry for entry in filters(clusters(describe(), UPSTREAM)["other"]) if entry["name"] == "key"]
    [alone] = [entry for entry in filters(clusters(describe())["other"]) if entry["name"] == "key"]

    assert key["typed_config"]["allow_request_without_credential"] is True
    assert "allow_request_without_credential" not in alone["typed_config"]


@pytest.mark.parametrize(
    ("retries", "timeouts", "expected"),
    [
        (Retries(idle_s=30, try_s=20), {}, 20),
        (Retries(idle_s=0), {"response_s": 50}, 50),
        (Retries(idle_s=0), {}, 600),
        (Retries(idle_s=0), {"idle_s": 0}, 0),
    ],
)
def test_the_filter_knows_how_long_an_attempt_may_take(
    retries: Retries, timeouts: dict[str, float], expected: float
) -> None:
    gateway = describe()
    gateway = replace(gateway, retries=retries, timeouts=replace(gateway.timeouts, **timeouts))
    [config] = [filters(cluster)[0] for cluster in clusters(gateway, UPSTREAM).values()][:1]

    value = config["typed_config"]["config"]["configuration"]["value"]

    assert json.loads(value)["gateway"]["timeout_s"] == expected


def test_who_has_no_address_is_refused_a_connection() -> None:
    found = clusters(describe(), UPSTREAM)

    assert found["openai"]["type"] == "STATIC"
    assert len(found["openai"]["load_assignment"]["endpoints"]) == 1
    assert found["google"]["type"] == "STRICT_DNS"
    known, nobody = found["google"]["load_assignment"]["endpoints"]
    assert "priority" not in known
    assert nobody["priority"] == 1
    address = nobody["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    assert address == {"address": "127.0.0.1", "port_value": 1}


def test_a_route_follows_the_filter_then_the_header_then_itself() -> None:
    host = virtual_host(describe(), UPSTREAM)

    [entry] = host["routes"]
    assert entry["match"] == {"prefix": "/"}
    action = entry["route"]
    assert not {"cluster", "cluster_header", "regex_rewrite"} & set(action)
    assert action["auto_host_rewrite"] is True
    specifier = action["inline_cluster_specifier_plugin"]["extension"]["typed_config"]
    by_state = specifier["cluster_matcher"]
    assert by_state["matcher_tree"]["input"]["typed_config"]["key"] == f"wasm.{NEXT_CLUSTER}"
    by_header = by_state["on_no_match"]["matcher"]
    assert by_header["matcher_tree"]["input"]["typed_config"]["header_name"] == "x-ai-cluster"
    for matcher in (by_state, by_header):
        entries = matcher["matcher_tree"]["exact_match_map"]["map"]
        assert {name: to["action"]["typed_config"]["cluster"] for name, to in entries.items()} == {
            name: name for name in ("openai", "google", "other")
        }
    assert by_header["on_no_match"]["action"]["typed_config"]["cluster"] == "openai"


def test_retries_are_as_described() -> None:
    retries = Retries(attempts=3, conditions=("reset",), statuses=(429,), try_s=9, idle_s=4)
    gateway = replace(describe(), retries=replace(retries, budget_percent=30, budget_least=5))

    assert virtual_host(gateway, UPSTREAM)["retry_policy"] == {
        "retry_on": "reset,retriable-status-codes",
        "num_retries": 2,
        "refresh_cluster_on_retry": True,
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.02s"},
        "retriable_status_codes": [429],
        "per_try_timeout": "9s",
        "per_try_idle_timeout": "4s",
    }
    for cluster in clusters(gateway, UPSTREAM).values():
        [thresholds] = cluster["circuit_breakers"]["thresholds"]
        assert thresholds["retry_budget"] == {"budget_percent": {"value": 30}, "min_retry_concurrency": 5}
        assert thresholds["max_requests"] == 10_000


def test_in_a_directory_the_filter_has_a_file_of_its_own() -> None:
    files: Any = render_files(describe(), [UPSTREAM], Path("/etc/envoy"), edition="1")

    assert list(files).index("attempts.yaml") < list(files).index("clusters.yaml")
    [filter_] = files["attempts.yaml"]["resources"]
    whole = filters(resources(describe(), UPSTREAM)["clusters"][0])[0]
    del filter_["@type"], filter_["typed_config"]["config"]["vm_config"]["configuration"]
    assert filter_ == whole
    for cluster in files["clusters.yaml"]["resources"]:
        first = filters(cluster)[0]
        assert first["name"] == whole["name"]
        source = first["config_discovery"]["config_source"]["path_config_source"]
        assert source == {"path": "/etc/envoy/attempts.yaml"}


def test_a_directory_without_failover_has_no_such_file() -> None:
    files = render_files(describe(), [describe_plugin(BREAKER, {})], Path("/etc/envoy"), edition="1")

    assert "attempts.yaml" not in files


# The description


def write(directory: Path, default: dict[str, object], rule: dict[str, object] | None = None) -> Path:
    """Write a deployment with the breaker in it."""
    plugins = directory / "plugins"
    plugins.mkdir()
    spec: dict[str, object] = {"pluginName": BREAKER, "defaultConfig": default}
    if rule is not None:
        spec["matchRules"] = [{"ingress": ["default"], "config": rule}]
    document = {
        "apiVersion": "extensions.higress.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": BREAKER},
        "spec": spec,
    }
    (plugins / "breaker.yaml").write_text(json.dumps(document))
    description = directory / "gateway.yaml"
    providers = "".join(
        f"\n  - {{name: {name}, host: 127.0.0.1, port: 1}}"
        for name in ("openai", "anthropic", "google", "moonshot")
    )
    description.write_text(f"listeners: [{{port: 10000}}]\ndefault_provider: openai\nproviders:{providers}\n")
    return description


def test_attempts_cannot_be_handed_over_for_some_requests_only(tmp_path: Path) -> None:
    description = write(tmp_path, {"attempts": "upstream"}, {"half_life_s": 60})

    with pytest.raises(DescriptionError) as refused:
        read_deployment(description)

    assert list(refused.value.problems) == [
        "breaker.yaml: spec.matchRules[0].config.attempts: expected upstream, as in spec.defaultConfig: "
        "the proxy makes further attempts for all requests or for none"
    ]


def test_on_higress_the_breaker_settles_itself(tmp_path: Path) -> None:
    description = write(tmp_path, {"attempts": "upstream"}, {"attempts": "upstream", "half_life_s": 60})

    [plugin] = read_deployment(description, host="higress").plugins

    assert plugin.default_config is not None
    assert plugin.default_config["attempts"] == "downstream"
    assert plugin.rules[0].config["attempts"] == "downstream"


def test_retries_are_read(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(
        DESCRIPTION
        + "retries: {attempts: 2, conditions: [reset], statuses: [429, 529], try_s: 3, idle_s: 0, "
        + "back_off_s: 1, back_off_limit_s: 2, budget_percent: 50, budget_least: 7}\n"
    )

    assert read_gateway(path).retries == Retries(
        attempts=2,
        conditions=("reset",),
        statuses=(429, 529),
        try_s=3,
        idle_s=0,
        back_off_s=1,
        back_off_limit_s=2,
        budget_percent=50,
        budget_least=7,
    )


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("{attempts: 0}", "retries.attempts: expected a whole number from 1 to 10, got the number 0"),
        (
            "{conditions: [5xxx]}",
            "retries.conditions[0]: expected one of 5xx, gateway-error, reset, reset-before-request, "
            "connect-failure, refused-stream, retriable-4xx, got the string '5xxx'",
        ),
        ("{statuses: [200]}", "retries.statuses[0]: expected a status from 400 to 599, got the number 200"),
        (
            "{statuses: 429}",
            "retries.statuses: expected a list of statuses from 400 to 599, got the number 429",
        ),
        (
            "{back_off_s: 1, back_off_limit_s: 0.5}",
            "retries.back_off_limit_s: expected at least back_off_s, which is 1, got the number 0.5",
        ),
    ],
)
def test_wrong_retries_are_refused(tmp_path: Path, written: str, problem: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(f"{DESCRIPTION}retries: {written}\n")

    with pytest.raises(DescriptionError) as refused:
        read_gateway(path)

    assert list(refused.value.problems) == [f"gateway.yaml: {problem}"]
