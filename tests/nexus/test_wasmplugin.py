from pathlib import Path

import pytest

from nexus.reading import DescriptionError
from nexus.wasmplugin import EnvironmentVariable, read_plugin, read_plugins

HEAD = """
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: NAME, namespace: higress-system}
spec:
  url: oci://example.com/plugin:1.0.0
  pluginName: NAME
"""


def write(directory: Path, name: str, spec: str = "") -> Path:
    path = directory / f"{name}.yaml"
    path.write_text(HEAD.replace("NAME", name) + spec)
    return path


def problems_of(path: Path) -> list[str]:
    with pytest.raises(DescriptionError) as caught:
        read_plugin(path)
    return list(caught.value.problems)


def config_of(path: Path) -> dict[str, object]:
    plugin = read_plugin(path)
    assert plugin is not None
    return plugin.config


def test_defaults_are_those_of_higress_with_a_vm_that_comes_back(tmp_path: Path) -> None:
    plugin = read_plugin(write(tmp_path, "one"))

    assert plugin is not None
    assert (plugin.name, plugin.plugin_name) == ("one", "one")
    assert (plugin.phase, plugin.priority, plugin.fail_strategy) == ("UNSPECIFIED_PHASE", 0, "FAIL_RELOAD")
    assert (plugin.environment, plugin.config) == ((), {})


def test_rules_become_rules_of_the_plugin(tmp_path: Path) -> None:
    spec = """
  defaultConfig: {a: 1}
  matchRules:
  - ingress: [ns/route]
    config: {a: 2}
  - domain: ["*.example.com"]
    service: [x.dns]
    config: {a: 3}
  - domain: [off.example.com]
    configDisable: true
    config: {a: 4}
"""

    assert config_of(write(tmp_path, "one", spec)) == {
        "a": 1,
        "_rules_": [
            {"a": 2, "_match_route_": ["ns/route"]},
            {"a": 3, "_match_domain_": ["*.example.com"], "_match_service_": ["x.dns"]},
        ],
    }


def test_a_disabled_default_leaves_the_rules(tmp_path: Path) -> None:
    spec = """
  defaultConfig: {a: 1}
  defaultConfigDisable: true
  matchRules: [{ingress: [r], config: {a: 2}}]
"""

    assert config_of(write(tmp_path, "one", spec)) == {"_rules_": [{"a": 2, "_match_route_": ["r"]}]}


def test_a_disabled_default_without_rules_disables_the_plugin(tmp_path: Path) -> None:
    assert read_plugin(write(tmp_path, "one", "  defaultConfigDisable: true\n")) is None


def test_variables_are_given_or_taken_from_the_host(tmp_path: Path) -> None:
    spec = "  vmConfig: {env: [{name: A, value: b}, {name: HOME, valueFrom: HOST}, {name: EMPTY}]}\n"

    plugin = read_plugin(write(tmp_path, "one", spec))

    assert plugin is not None
    assert plugin.environment == (
        EnvironmentVariable(name="A", value="b"),
        EnvironmentVariable(name="HOME", value=None),
        EnvironmentVariable(name="EMPTY", value=""),
    )


def test_everything_wrong_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("""
apiVersion: v1
kind: Plugin
metadata: {name: Bad_Name}
spec:
  phase: AUTH
  priorty: 3
  failStrategy: FAIL
  defaultConfig: {d: 2026-01-01}
  matchRules:
  - config: {_match_route_: [x]}
  - ingress: route
  vmConfig: {env: [{value: x, valueFrom: HOST}]}
""")

    assert sorted(problems_of(path)) == [
        "bad.yaml: apiVersion: expected extensions.higress.io/v1alpha1, got the string 'v1'",
        "bad.yaml: kind: expected WasmPlugin, got the string 'Plugin'",
        "bad.yaml: metadata.name: expected a name of lower-case letters, digits, '-' and '.', "
        "got the string 'Bad_Name'",
        "bad.yaml: spec.defaultConfig: expected what JSON can say: "
        "Object of type date is not JSON serializable",
        "bad.yaml: spec.failStrategy: expected 'FAIL_OPEN', 'FAIL_CLOSE' or 'FAIL_RELOAD', "
        "got the string 'FAIL', did you mean 'FAIL_OPEN'?",
        "bad.yaml: spec.matchRules[0].config._match_route_: expected what to match beside config, not in it",
        "bad.yaml: spec.matchRules[0]: expected ingress, domain or service, got none of them",
        "bad.yaml: spec.matchRules[1].ingress: expected a list of strings, got the string 'route'",
        "bad.yaml: spec.matchRules[1]: expected ingress, domain or service, got none of them",
        "bad.yaml: spec.phase: expected 'AUTHN', 'AUTHZ', 'STATS' or 'UNSPECIFIED_PHASE', "
        "got the string 'AUTH', did you mean 'AUTHZ'?",
        "bad.yaml: spec.pluginName: expected a non-empty string, got nothing",
        "bad.yaml: spec.priorty: unknown key, did you mean 'priority'?",
        "bad.yaml: spec.vmConfig.env[0].name: expected a non-empty string, got nothing",
        "bad.yaml: spec.vmConfig.env[0].value: expected nothing when valueFrom is HOST",
    ]


def test_rules_belong_under_match_rules(tmp_path: Path) -> None:
    path = write(tmp_path, "one", "  defaultConfig: {_rules_: []}\n")

    assert problems_of(path) == [
        "one.yaml: spec.defaultConfig._rules_: expected rules under matchRules, where both hosts look"
    ]


def test_plugins_come_in_the_order_a_request_meets_them(tmp_path: Path) -> None:
    write(tmp_path, "last", "  priority: 1000\n")
    write(tmp_path, "stats", "  phase: STATS\n")
    write(tmp_path, "second", "  phase: AUTHN\n  priority: 10\n")
    write(tmp_path, "first", "  phase: AUTHN\n  priority: 300\n")
    write(tmp_path, "b-tie", "  phase: AUTHZ\n")
    write(tmp_path, "a-tie", "  phase: AUTHZ\n")
    (tmp_path / "README.md").write_text("not a plugin")

    names = [plugin.name for plugin in read_plugins(tmp_path)]

    assert names == ["first", "second", "a-tie", "b-tie", "stats", "last"]


def test_the_problems_of_all_files_are_named_at_once(tmp_path: Path) -> None:
    write(tmp_path, "one", "  x: 1\n")
    write(tmp_path, "two", "  y: 1\n")

    with pytest.raises(DescriptionError) as caught:
        read_plugins(tmp_path)

    assert [problem.split(":")[0] for problem in caught.value.problems] == ["one.yaml", "two.yaml"]


def test_plugins_that_share_a_vm_agree_on_its_environment(tmp_path: Path) -> None:
    write(tmp_path, "one", "  vmConfig: {env: [{name: A, value: x}, {name: B, value: y}]}\n")
    write(tmp_path, "two", "  vmConfig: {env: [{name: A, value: z}, {name: B, value: y}]}\n")

    with pytest.raises(DescriptionError) as caught:
        read_plugins(tmp_path)

    assert caught.value.problems == (
        "two.yaml: spec.vmConfig.env: A has another value in one.yaml, and all plugins share one VM",
    )


def test_two_files_with_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "one")
    (tmp_path / "two.yaml").write_text((tmp_path / "one.yaml").read_text())

    with pytest.raises(
        DescriptionError, match=r"two\.yaml: metadata\.name: 'one' is the name in one\.yaml too"
    ):
        read_plugins(tmp_path)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DescriptionError, match="expected a directory of WasmPlugin YAML files"):
        read_plugins(tmp_path / "missing")


def test_the_plugins_of_this_repository_are_right() -> None:
    plugins = read_plugins(Path(__file__).parents[2] / "envoy" / "plugins")

    assert plugins[0].name == "ai-nexus-classifier"
    assert all(plugin.file == f"{plugin.name}.yaml" for plugin in plugins)
