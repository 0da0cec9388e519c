"""The plugins for Higress: what goes to ``kubectl apply``, held against what Higress makes of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus.cli import main
from nexus.higress import higress_documents
from nexus.wasmplugin import WasmPlugin, read_plugin

FILE = """
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: one, namespace: higress-system, labels: {a: b}}
spec:
  url: file:///opt/plugins/one/plugin.wasm
  imagePullPolicy: Always
  pluginName: one
  phase: AUTHN
  priority: 300
  failStrategy: FAIL_RELOAD
  defaultConfig: {a: 1}
  matchRules:
  - {ingress: [gone], configDisable: true, config: {a: 9}}
  - {ingress: [ns/route], service: [x.dns], config: {a: 2}}
  vmConfig: {env: [{name: A, value: b}]}
"""


@pytest.fixture
def plugin(tmp_path: Path) -> WasmPlugin:
    (tmp_path / "one.yaml").write_text(FILE)
    plugin = read_plugin(tmp_path / "one.yaml")
    assert plugin is not None
    return plugin


def filled(plugin: WasmPlugin) -> WasmPlugin:
    """Return *plugin* with a catalog in all its configurations."""
    catalog = {"catalog": [1]}
    rules = tuple(replace(rule, config={**rule.config, **catalog}) for rule in plugin.rules)
    return replace(plugin, default_config={**(plugin.default_config or {}), **catalog}, rules=rules)


def document(plugin: WasmPlugin, url: str | None = None) -> Any:
    [(file, found)] = higress_documents([plugin], url).items()
    assert file == "one.yaml"
    return found


def test_what_is_not_changed_stays_as_it_is_written(plugin: WasmPlugin) -> None:
    expected = yaml.safe_load(FILE)
    expected["spec"]["failStrategy"] = "FAIL_CLOSE"

    assert document(plugin) == expected


def test_the_catalog_is_in_every_configuration_that_counts(plugin: WasmPlugin) -> None:
    spec = document(filled(plugin))["spec"]

    assert spec["defaultConfig"] == {"a": 1, "catalog": [1]}
    assert [rule["config"] for rule in spec["matchRules"]] == [{"a": 9}, {"a": 2, "catalog": [1]}]


def test_the_module_may_be_anywhere(plugin: WasmPlugin) -> None:
    assert (
        document(plugin, "oci://example.com/ai-nexus:1.0")["spec"]["url"] == "oci://example.com/ai-nexus:1.0"
    )


def test_the_file_that_was_read_is_left_alone(plugin: WasmPlugin) -> None:
    document(filled(plugin), "oci://example.com/x")

    assert plugin.document == yaml.safe_load(FILE)


def test_on_both_hosts_the_plugin_reads_the_same(plugin: WasmPlugin, tmp_path: Path) -> None:
    plugin = filled(plugin)
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(document(plugin)))

    again = read_plugin(tmp_path / "again.yaml")

    assert again is not None
    assert again.config == plugin.config


def test_render_writes_one_file_for_each_plugin(tmp_path: Path) -> None:
    plugins = Path(__file__).parents[2] / "envoy" / "plugins"

    assert main(["render", "--host", "higress", "--url", "oci://x/y:1", "-d", str(tmp_path)]) == 0

    assert {file.name for file in tmp_path.iterdir()} == {file.name for file in plugins.glob("*.yaml")}
    for file in tmp_path.iterdir():
        assert yaml.safe_load(file.read_text())["spec"]["url"] == "oci://x/y:1"


def test_render_writes_all_of_them_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    plugins = Path(__file__).parents[2] / "envoy" / "plugins"

    assert main(["render", "--host", "higress"]) == 0

    documents = list(yaml.safe_load_all(capsys.readouterr().out))
    assert len(documents) == len(list(plugins.glob("*.yaml")))
    assert {document["kind"] for document in documents} == {"WasmPlugin"}
