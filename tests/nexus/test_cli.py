import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from nexus.cli import main

DESCRIPTION = """
listeners: [{port: 10000}]
default_provider: openai
module: m.wasm
providers:
- {name: openai, host: 127.0.0.1, port: 1}
- {name: google, host: 127.0.0.1, port: 2}
"""


@pytest.fixture
def description(tmp_path: Path) -> Path:
    (tmp_path / "plugins").mkdir()
    path = tmp_path / "gateway.yaml"
    path.write_text(DESCRIPTION)
    return path


def test_render_writes_to_stdout(description: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "--gateway", str(description)]) == 0

    out = capsys.readouterr().out
    assert out.startswith("# Made by `python -m nexus render` from gateway.yaml.")
    assert yaml.safe_load(out)["admin"]["address"]["socket_address"]["port_value"] == 9901


def test_render_writes_a_file_and_its_directory(description: Path, tmp_path: Path) -> None:
    output = tmp_path / "build" / "envoy.yaml"

    assert main(["render", "--gateway", str(description), "-o", str(output)]) == 0

    assert yaml.safe_load(output.read_text())["node"]["id"] == "ai-nexus"


def test_render_can_make_a_configuration_for_containers(
    description: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--listen", "0.0.0.0", "--fake-providers", "providers:10100", "--module", "/etc/x.wasm"]

    assert main(["render", "--gateway", str(description), *options]) == 0

    bootstrap = yaml.safe_load(capsys.readouterr().out)
    resources = bootstrap["static_resources"]
    addresses = [bootstrap["admin"], resources["listeners"][0]]
    assert [entry["address"]["socket_address"]["address"] for entry in addresses] == ["0.0.0.0"] * 2
    endpoints = [
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
        for cluster in resources["clusters"]
    ]
    assert endpoints == [
        {"address": "providers", "port_value": 10100},
        {"address": "providers", "port_value": 10101},
    ]


def test_render_writes_a_directory_for_envoy_to_watch(
    description: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "envoy"
    arguments = ["render", "--gateway", str(description), "-d", str(directory)]

    assert main(arguments) == 0
    assert capsys.readouterr().out == "written: clusters.yaml, plugins.yaml, routes.yaml, listeners.yaml\n"
    description.write_text(DESCRIPTION.replace("default_provider: openai", "default_provider: google"))
    assert main(arguments) == 0

    assert capsys.readouterr().out == "written: routes.yaml\n"
    bootstrap = yaml.safe_load((directory / "envoy.yaml").read_text())
    source = bootstrap["dynamic_resources"]["lds_config"]["path_config_source"]
    assert source == {"path": str(directory / "listeners.yaml")}


def test_render_says_what_is_worth_knowing(
    description: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    description.write_text(DESCRIPTION.replace("port: 2", "port: 2, key_env: NOT_SET"))

    assert main(["render", "--gateway", str(description)]) == 0

    assert capsys.readouterr().err == (
        "note: gateway.yaml: providers[1].key_env: NOT_SET is not set here; "
        "without it in Envoy's environment, google answers nothing\n"
    )


def test_what_is_wrong_leaves_the_files_as_they_were(
    description: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["render", "--gateway", str(description), "-d", str(tmp_path / "envoy")]
    main(arguments)
    before = {file.name: file.read_text() for file in (tmp_path / "envoy").iterdir()}

    description.write_text(DESCRIPTION + "x: 1\n")

    assert main(arguments) == 1
    assert {file.name: file.read_text() for file in (tmp_path / "envoy").iterdir()} == before


class TestWatching:
    """``render --watch``, a process that goes on."""

    @pytest.fixture
    def watching(self, description: Path, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
        command = [sys.executable, "-m", "nexus", "render", "--gateway", str(description)]
        options = ["--watch", "-d", str(tmp_path / "envoy")]
        with subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("written: clusters.yaml")
            yield process
            process.kill()

    def test_what_is_edited_is_written(
        self, watching: "subprocess.Popen[str]", description: Path, tmp_path: Path
    ) -> None:
        assert watching.stdout is not None
        description.write_text(DESCRIPTION.replace("default_provider: openai", "default_provider: google"))

        assert watching.stdout.readline() == "written: routes.yaml\n"
        [routes] = yaml.safe_load((tmp_path / "envoy" / "routes.yaml").read_text())["resources"]
        assert routes["virtual_hosts"][0]["routes"][-1]["route"]["cluster"] == "google"

    def test_what_is_wrong_is_said_and_changes_nothing(
        self, watching: "subprocess.Popen[str]", description: Path, tmp_path: Path
    ) -> None:
        assert watching.stdout is not None
        assert watching.stderr is not None
        before = {file.name: file.read_text() for file in (tmp_path / "envoy").iterdir()}

        description.write_text(DESCRIPTION + "x: 1\ny: 2\n")

        assert [watching.stderr.readline() for _ in range(3)] == [
            "The change is refused, and the files stay as they were:\n",
            "gateway.yaml: x: unknown key\n",
            "gateway.yaml: y: unknown key\n",
        ]
        assert {file.name: file.read_text() for file in (tmp_path / "envoy").iterdir()} == before
        description.write_text(DESCRIPTION.replace("default_provider: openai", "default_provider: google"))
        assert watching.stdout.readline() == "written: routes.yaml\n"

    def test_ctrl_c_ends_it(self, watching: "subprocess.Popen[str]") -> None:
        watching.send_signal(signal.SIGINT)

        assert watching.wait(10) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--listen", "here"], "--listen: expected an IP address, got 'here'."),
        (["-o", "/dev/null/x"], "/dev/null/x cannot be written: "),
        (["-d", "/dev/null/x"], "/dev/null/x cannot be written: "),
        (["--watch"], "--watch: expected --directory, for Envoy to watch."),
        (["--watch", "--host", "higress", "-d", "x"], "--watch: expected --directory, for Envoy to watch."),
    ],
)
def test_render_says_what_is_wrong_with_its_options(
    options: list[str], message: str, description: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", "--gateway", str(description), *options]) == 1

    assert capsys.readouterr().err.startswith(message)


def test_render_lists_what_is_wrong_with_the_description(
    description: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description.write_text(DESCRIPTION + "x: 1\nlimit: {}\n")

    assert main(["render", "--gateway", str(description)]) == 1

    assert capsys.readouterr().err == (
        "gateway.yaml: x: unknown key\ngateway.yaml: limit: unknown key, did you mean 'limits'?\n"
    )


def test_providers_say_which_port_they_cannot_have(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert main(["providers", "--port", str(port)]) == 1

    assert str(port) in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["providers", "--port", "0"],
        ["providers", "--port", "x"],
        ["render", "--fake-providers", "10100"],
        ["render", "-o", "x", "-d", "y"],
        ["render", "--fake-providers", "host:http"],
        ["fly"],
        [],
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert "usage: python -m nexus" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "render", "providers"])
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])

    assert caught.value.code == 0
    assert "--help" in capsys.readouterr().out
