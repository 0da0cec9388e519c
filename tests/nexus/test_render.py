"""The renderer against golden files; run as a program it writes them anew."""

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus.deployment import read_deployment
from nexus.description import Gateway
from nexus.render import Node, edition_of, render, render_files, to_yaml
from nexus.testing import describe_gateway, describe_plugin
from nexus.wasmplugin import EnvironmentVariable, WasmPlugin

TESTDATA = Path(__file__).parent / "testdata"
CASES = sorted(path.name.removesuffix(".in.yaml") for path in TESTDATA.glob("*.in.yaml"))


def rendered(case: str) -> str:
    deployment = read_deployment(TESTDATA / f"{case}.in.yaml")
    return to_yaml(render(deployment.gateway, deployment.plugins), [f"{case}.in.yaml"])


def write_all() -> None:
    for case in CASES:
        (TESTDATA / f"{case}.out.yaml").write_text(rendered(case), encoding="utf-8")
        shutil.rmtree(TESTDATA / f"{case}.out", ignore_errors=True)
        for name, text in rendered_files(case).items():
            file = TESTDATA / f"{case}.out" / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")


def filters_of(gateway: Gateway, plugins: list[WasmPlugin]) -> list[dict[str, Any]]:
    bootstrap: Any = render(gateway, plugins)
    [chain] = bootstrap["static_resources"]["listeners"][0]["filter_chains"]
    filters = chain["filters"][0]["typed_config"]["http_filters"]
    assert isinstance(filters, list)
    return filters


def rendered_files(case: str) -> dict[str, str]:
    """Return the files of a directory that Envoy would find at /etc/envoy."""
    deployment = read_deployment(TESTDATA / f"{case}.in.yaml")
    directory = Path("/etc/envoy")
    files = render_files(deployment.gateway, deployment.plugins, directory, edition="of the module")
    return {name: to_yaml(node, [f"{case}.in.yaml"]) for name, node in files.items()}


@pytest.mark.parametrize("case", CASES)
def test_a_rendered_directory_is_the_golden_one(case: str) -> None:
    golden = {file.name: file.read_text(encoding="utf-8") for file in (TESTDATA / f"{case}.out").iterdir()}

    assert rendered_files(case) == golden


@pytest.mark.parametrize("case", CASES)
def test_a_directory_says_the_same_as_one_file(case: str) -> None:
    """Put back what each file says where the one file has it, and nothing is missing or beside it."""
    whole = yaml.safe_load(rendered(case))
    files = {name: yaml.safe_load(text) for name, text in rendered_files(case).items()}
    resources = whole.pop("static_resources")

    listeners = resources_of(files, "listeners.yaml")
    for listener in listeners:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        assert manager["rds"]["route_config_name"] == "gateway"
        manager["route_config"] = resources_of(files, "routes.yaml")[0]
        del manager["rds"]
        [chain] = resources_of(files, "plugins.yaml")
        filters = chain["typed_config"].get("default_filter_chain", {"filters": []})["filters"]
        for entry in filters:
            del entry["typed_config"]["config"]["vm_config"]["configuration"]
        manager["http_filters"][:1] = filters
    assert listeners == resources["listeners"]

    clusters = resources_of(files, "clusters.yaml")
    for cluster in clusters:
        for entry in http_filters(cluster)[:1]:
            source = entry["typed_config"]["credential"]["typed_config"]["credential"].pop("sds_config")
            name = Path(source["path_config_source"]["path"]).name
            assert resources_of(files, name)[0] in resources["secrets"]
    assert clusters == resources["clusters"]
    assert len(resources.get("secrets", ())) == sum(name.startswith("key-") for name in files)

    bootstrap = files["envoy.yaml"]
    del bootstrap["dynamic_resources"]
    assert bootstrap == whole


def http_filters(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    [options] = cluster["typed_extension_protocol_options"].values()
    filters = options.get("http_filters", [])
    assert isinstance(filters, list)
    return filters


def resources_of(files: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the resources of a file, without their types."""
    resources = copy.deepcopy(files[name]["resources"])
    return [{key: value for key, value in resource.items() if key != "@type"} for resource in resources]


def test_another_edition_is_another_vm() -> None:
    def plugins_file(edition: str) -> Node:
        plugins = [describe_plugin("a", {})]
        return render_files(describe_gateway(), plugins, Path("/x"), edition=edition)["plugins.yaml"]

    assert plugins_file("1") == plugins_file("1")
    assert plugins_file("1") != plugins_file("2")


def test_an_edition_is_new_when_the_module_or_the_environment_is(tmp_path: Path) -> None:
    module = tmp_path / "m.wasm"
    plain = describe_plugin("a", {"x": 1})
    variable = EnvironmentVariable(name="A", value="b")
    editions = [edition_of(module, [plain]), edition_of(module, [replace(plain, environment=(variable,))])]
    for content in (b"1", b"2"):
        module.write_bytes(content)
        editions.append(edition_of(module, [plain]))

    assert len(set(editions)) == 4
    assert edition_of(module, [describe_plugin("b", {"x": 2})]) == editions[-1]


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
