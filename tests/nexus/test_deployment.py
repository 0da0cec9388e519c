"""Whole deployments: what one file says of another, and what a plugin says of its configuration."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus.deployment import Deployment, Host, key_notices, read_deployment
from nexus.gateway_file import read_gateway
from nexus.plugin_packages import find_package, forget_packages
from nexus.reading import DescriptionError

GATEWAY = """
listeners: [{port: 10000}]
default_provider: openai
catalog: catalog.yaml
providers:
- {name: openai, host: 127.0.0.1, port: 1}
- {name: google, host: 127.0.0.1, port: 2}
"""
MODEL = {
    "name": "one",
    "provider": "openai",
    "prices_nano_usd_per_token": {"input": 1, "output": 2},
    "quality": 0.5,
    "context_window_tokens": 1000,
}
OWN = MODEL | {"name": "own"}

# A plugin as somebody outside this repository would write one.
PACKAGE = """
from dataclasses import dataclass
from aigateway.catalog import Catalog, read_catalog
from aigateway.config import Reader

@dataclass(frozen=True)
class Config:
    catalog: Catalog
    limit: int

    @classmethod
    def from_json(cls, value):
        reader = Reader(value)
        config = cls(read_catalog(reader), reader.integer("limit", 3, at_least=1))
        reader.finish()
        return config
"""
SPEC: dict[str, Any] = {
    "spec": {"configSchema": {"openAPIV3Schema": {"properties": {"catalog": {}, "limit": {}}}}}
}


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A deployment, and a package for the plugin ``test-router``."""
    package = tmp_path / "packages" / "test_router"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PACKAGE)
    (package / "spec.yaml").write_text(yaml.safe_dump(SPEC))
    monkeypatch.syspath_prepend(package.parent)
    forget_packages()
    (tmp_path / "plugins").mkdir()
    (tmp_path / "gateway.yaml").write_text(GATEWAY)
    write_catalog(tmp_path, [MODEL])
    yield tmp_path
    forget_packages()


def write_catalog(directory: Path, models: list[dict[str, Any]], **beside: Any) -> None:
    (directory / "catalog.yaml").write_text(yaml.safe_dump({"catalog": models} | beside))


def write_plugin(directory: Path, name: str = "test-router", **spec: Any) -> None:
    document = {
        "apiVersion": "extensions.higress.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": name},
        "spec": {"pluginName": name} | spec,
    }
    (directory / "plugins" / f"{name}.yaml").write_text(yaml.safe_dump(document))


def read(directory: Path, host: Host = "envoy") -> Deployment:
    return read_deployment(directory / "gateway.yaml", host=host)


def problems_of(directory: Path, host: Host = "envoy") -> tuple[str, ...]:
    with pytest.raises(DescriptionError) as caught:
        read(directory, host)
    return caught.value.problems


def config_of(directory: Path) -> dict[str, Any]:
    [plugin] = read(directory).plugins
    return plugin.config


class TestTheCatalog:
    def test_it_is_put_where_a_plugin_takes_one(self, directory: Path) -> None:
        write_catalog(directory, [MODEL], unpriced={"input": 5, "output": 6})
        write_plugin(directory, defaultConfig={"limit": 4})

        assert config_of(directory) == {
            "limit": 4,
            "catalog": [MODEL],
            "unpriced": {"input": 5, "output": 6},
        }

    def test_it_is_put_into_each_rule_for_that_replaces_the_default(self, directory: Path) -> None:
        rules = [{"ingress": ["default"], "config": {"limit": 7}}, {"service": ["google"], "config": {}}]
        write_plugin(directory, defaultConfig={"limit": 4}, matchRules=rules)

        first, second = config_of(directory)["_rules_"]

        assert first == {"limit": 7, "catalog": [MODEL], "_match_route_": ["default"]}
        assert second == {"catalog": [MODEL], "_match_service_": ["google"]}

    def test_a_plugins_own_comes_first(self, directory: Path) -> None:
        rules = [{"ingress": ["default"], "config": {"catalog": [OWN]}}]
        write_plugin(directory, matchRules=rules, defaultConfig={"catalog": [OWN]})

        config = config_of(directory)

        assert config["catalog"] == config["_rules_"][0]["catalog"] == [OWN]

    def test_it_makes_no_default_where_there_is_none(self, directory: Path) -> None:
        write_plugin(directory, matchRules=[{"ingress": ["default"], "config": {"limit": 7}}])

        assert set(config_of(directory)) == {"_rules_"}

    def test_where_an_entry_comes_from_is_no_business_of_plugins(self, directory: Path) -> None:
        write_catalog(directory, [MODEL | {"source": "genai-prices"}])
        write_plugin(directory)

        assert config_of(directory)["catalog"] == [MODEL]

    def test_a_plugin_that_takes_none_gets_none(self, directory: Path) -> None:
        write_plugin(directory, "ai-nexus-classifier")

        assert config_of(directory) == {}

    def test_what_is_wrong_with_it_is_said_once(self, directory: Path) -> None:
        write_catalog(directory, [MODEL | {"quality": 2}])
        write_plugin(directory, defaultConfig={"limit": 0})

        assert problems_of(directory) == (
            "catalog.yaml: catalog[0].quality: expected a number from 0 to 1, got the number 2",
        )

    def test_a_model_whose_provider_is_not_there_is_refused(self, directory: Path) -> None:
        elsewhere = [MODEL | {"name": name, "provider": "moonshot"} for name in ("two", "three")]
        write_catalog(directory, [MODEL, *elsewhere, MODEL | {"name": "four", "cluster": "x"}])

        assert problems_of(directory) == (
            "catalog.yaml: catalog[1].provider: expected a provider of the gateway (openai, google), "
            "got the string 'moonshot', and so in 1 more",
            "catalog.yaml: catalog[3].cluster: expected a provider of the gateway (openai, google), "
            "got the string 'x'",
        )

    def test_so_is_one_of_a_plugins_own(self, directory: Path) -> None:
        rules = [{"ingress": ["default"], "config": {"catalog": [OWN | {"cluster": "x"}]}}]
        write_plugin(directory, matchRules=rules)

        assert problems_of(directory) == (
            "test-router.yaml: spec.matchRules[0].config.catalog[0].cluster: "
            "expected a provider of the gateway (openai, google), got the string 'x'",
        )

    def test_without_a_catalog_that_of_the_plugin_is_looked_at(self, directory: Path) -> None:
        (directory / "gateway.yaml").write_text(GATEWAY.replace("catalog: catalog.yaml", ""))
        write_plugin(directory)

        notices = read(directory).notices

        assert any(
            notice.startswith("test-router.yaml: spec.defaultConfig: its own catalog[")
            and notice.endswith(
                "expected a provider of the gateway (openai, google), got the string 'moonshot'"
            )
            for notice in notices
        )

    def test_one_that_is_not_there_is_named(self, directory: Path) -> None:
        (directory / "catalog.yaml").unlink()

        [problem] = problems_of(directory)

        assert problem == f"{directory / 'catalog.yaml'} cannot be read: No such file or directory"


class TestPlugins:
    def test_each_configuration_is_read_by_the_plugins_own_code(self, directory: Path) -> None:
        rules = [
            {"ingress": ["default"], "config": {"limit": "ten"}},
            {"domain": ["a.b"], "config": {"limits": 1}},
        ]
        write_plugin(directory, defaultConfig={"limit": 0}, matchRules=rules)

        assert problems_of(directory) == (
            "test-router.yaml: spec.defaultConfig.limit: expected a whole number of at least 1, "
            "got the number 0",
            "test-router.yaml: spec.matchRules[0].config.limit: expected a whole number of at least 1, "
            "got the string 'ten'",
            "test-router.yaml: spec.matchRules[1].config.limits: unknown key, did you mean 'limit'?",
        )

    def test_a_disabled_default_need_not_be_right(self, directory: Path) -> None:
        rules = [{"ingress": ["default"], "config": {"limit": 1}}]
        write_plugin(directory, defaultConfig={"limit": 0}, defaultConfigDisable=True, matchRules=rules)

        assert len(read(directory).plugins) == 1

    def test_a_plugin_from_elsewhere_passes_with_a_notice(self, directory: Path) -> None:
        write_plugin(directory, "key-auth", defaultConfig={"anything": [1]})

        assert read(directory).notices == (
            "key-auth.yaml: spec.pluginName: no package of 'key-auth' is here, "
            "so that only the plugin itself will check its configuration",
        )

    def test_a_rule_that_matches_nothing_is_refused(self, directory: Path) -> None:
        write_plugin(directory, matchRules=[{"ingress": ["chat"], "config": {"limit": 2}}])

        assert problems_of(directory) == (
            "test-router.yaml: spec.matchRules[0].ingress[0]: matches nothing: expected a route (default), "
            "got the string 'chat'",
        )

    def test_what_is_wrong_anywhere_is_said_at_once(self, directory: Path) -> None:
        write_catalog(directory, [])
        write_plugin(directory, "ai-nexus-classifier", defaultConfig={"weight": {}})
        (directory / "plugins" / "bad.yaml").write_text("kind: x")

        files = {problem.split(":")[0] for problem in problems_of(directory)}

        assert files == {"catalog.yaml", "bad.yaml"}

    def test_on_higress_nobody_knows_the_routes_and_providers(self, directory: Path) -> None:
        write_catalog(directory, [MODEL | {"provider": "moonshot"}])
        rules = [{"ingress": ["anything"], "config": {}}, {"service": ["x.dns"], "config": {"limit": 0}}]
        write_plugin(directory, matchRules=rules, defaultConfig={"limit": 1})

        assert problems_of(directory, "higress") == (
            "test-router.yaml: spec.matchRules[1].config.limit: "
            "expected a whole number of at least 1, got the number 0",
        )


class TestPackages:
    def test_one_is_found_by_the_name_of_the_plugin(self, directory: Path) -> None:
        package = find_package("test-router")

        assert package is not None
        assert (package.name, package.takes_catalog) == ("test_router", True)

    @pytest.mark.parametrize("name", ["no-such-plugin", "os", "json", "this", "yaml", "a.b", "a b", "1", ""])
    def test_what_is_no_plugin_is_not_imported(self, directory: Path, name: str) -> None:
        before = set(sys.modules)

        assert find_package(name) is None
        assert set(sys.modules) == before

    def test_code_that_has_changed_is_read_anew(self, directory: Path) -> None:
        write_plugin(directory, defaultConfig={"limit": 0})
        assert len(problems_of(directory)) == 1
        source = directory / "packages" / "test_router" / "__init__.py"
        source.write_text(PACKAGE.replace("at_least=1", "at_least=000"))

        forget_packages()

        assert config_of(directory)["limit"] == 0


def test_keys_that_are_not_to_be_found_are_named(directory: Path) -> None:
    (directory / "there").write_text("key")
    (directory / "gateway.yaml").write_text("""
listeners: [{port: 10000}]
default_provider: a
providers:
- {name: a, host: 127.0.0.1, port: 1, key_env: A_KEY}
- {name: b, host: 127.0.0.1, port: 2, key_env: B_KEY}
- {name: c, host: 127.0.0.1, port: 3, key_file: missing}
- {name: d, host: 127.0.0.1, port: 4, key_file: there}
""")

    notices = key_notices(read_gateway(directory / "gateway.yaml"), {"A_KEY": "x", "B_KEY": ""})

    assert notices == [
        "providers[1].key_env: B_KEY is not set here; without it in Envoy's environment, b answers nothing",
        f"providers[2].key_file: {directory / 'missing'} is not there; until it is, c answers nothing",
    ]


def test_the_deployment_of_this_repository_is_right() -> None:
    root = Path(__file__).parents[2]

    deployment = read_deployment(root / "envoy" / "gateway.yaml")

    assert deployment.notices == ()
    assert deployment.files[:2] == ("gateway.yaml", "catalog.yaml")


def test_its_plugins_are_right_for_higress_too() -> None:
    root = Path(__file__).parents[2]

    assert read_deployment(root / "envoy" / "gateway.yaml", host="higress").plugins
