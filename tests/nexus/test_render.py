"""The renderer against golden files; run as a program it writes them anew."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus.description import Gateway
from nexus.gateway_file import read_gateway
from nexus.render import render, to_yaml
from nexus.testing import describe_gateway, describe_plugin
from nexus.wasmplugin import WasmPlugin, read_plugins

TESTDATA = Path(__file__).parent / "testdata"
CASES = sorted(path.name.removesuffix(".in.yaml") for path in TESTDATA.glob("*.in.yaml"))


def rendered(case: str) -> str:
    gateway = read_gateway(TESTDATA / f"{case}.in.yaml")
    return to_yaml(render(gateway, read_plugins(gateway.plugins)), [f"{case}.in.yaml"])


def write_all() -> None:
    for case in CASES:
        (TESTDATA / f"{case}.out.yaml").write_text(rendered(case), encoding="utf-8")


def filters_of(gateway: Gateway, plugins: list[WasmPlugin]) -> list[dict[str, Any]]:
    bootstrap: Any = render(gateway, plugins)
    [chain] = bootstrap["static_resources"]["listeners"][0]["filter_chains"]
    filters = chain["filters"][0]["typed_config"]["http_filters"]
    assert isinstance(filters, list)
    return filters


@pytest.mark.parametrize("case", CASES)
def test_a_rendering_is_the_golden_one(case: str) -> None:
    assert rendered(case) == (TESTDATA / f"{case}.out.yaml").read_text(encoding="utf-8")


def test_plugins_come_in_the_order_given_and_the_router_last() -> None:
    plugins = [describe_plugin("b", {}), describe_plugin("a", {})]

    names = [entry["name"] for entry in filters_of(describe_gateway(), plugins)]

    assert names == ["b", "a", "envoy.filters.http.router"]


def test_all_plugins_share_one_vm_and_are_told_apart_by_root_id() -> None:
    plugins = [describe_plugin("a", {}), describe_plugin("b", {})]

    configs = [entry["typed_config"]["config"] for entry in filters_of(describe_gateway(), plugins)[:2]]

    assert configs[0]["vm_config"] == configs[1]["vm_config"]
    assert [config["root_id"] for config in configs] == ["a", "b"]
    assert all(config["allow_on_headers_stop_iteration"] for config in configs)


def test_a_configuration_reaches_the_plugin_as_it_was_written() -> None:
    config = {"名": "预算", "nested": {"list": [1, 2.5, True, None]}, "quote": "\"'\n"}

    [entry, _] = filters_of(describe_gateway(), [describe_plugin("a", config)])

    assert json.loads(entry["typed_config"]["config"]["configuration"]["value"]) == config


@pytest.mark.parametrize(
    ("strategy", "policy"),
    [("FAIL_OPEN", "FAIL_OPEN"), ("FAIL_CLOSE", "FAIL_CLOSED"), ("FAIL_RELOAD", "FAIL_RELOAD")],
)
def test_a_fail_strategy_becomes_a_failure_policy(strategy: Any, policy: str) -> None:
    plugin = replace(describe_plugin("a", {}), fail_strategy=strategy)

    [entry, _] = filters_of(describe_gateway(), [plugin])

    assert entry["typed_config"]["config"]["failure_policy"] == policy


def test_yaml_says_what_was_rendered() -> None:
    bootstrap = render(describe_gateway(), [describe_plugin("a", {"text": "yes: no # 1"})])

    assert yaml.safe_load(to_yaml(bootstrap, ["a.yaml"])) == bootstrap


if __name__ == "__main__":
    write_all()
