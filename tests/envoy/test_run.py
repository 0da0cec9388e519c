"""``python -m nexus run`` as a user has it: a process, its output, its signals, and what it leaves behind.

Most of it needs no plugins, which cost five seconds to start.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
import requests
import yaml

from nexus.ports import free_ports, is_free
from nexus.run import RunError, Settings

PLUGINS = Path(__file__).parents[2] / "envoy" / "plugins"
DESCRIPTION = """
listeners: [{port: 10000}]
default_provider: openai
plugins: plugins
providers:
- {name: openai, host: 127.0.0.1, port: 1}
- {name: google, host: 127.0.0.1, port: 1}
"""

PROBE = """
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: probe}
spec: {pluginName: probe, defaultConfig: {mark: MARK}}
"""


class Run:
    """A ``python -m nexus run`` on free ports, with a temporary directory of its own."""

    def __init__(self, directory: Path, *options: str, description: str = DESCRIPTION) -> None:
        self.directory = directory
        (directory / "plugins").mkdir(exist_ok=True)
        (directory / "tmp").mkdir(exist_ok=True)
        self.file = directory / "gateway.yaml"
        self.file.write_text(description)
        self.environment = os.environ | {"WORKERS": "1", "TMPDIR": str(directory / "tmp")}
        self.use_free_ports(4)
        self.options = options
        self.process: subprocess.Popen[str] | None = None

    def use_free_ports(self, count: int) -> None:
        first = free_ports(count)
        self.gateway_port, self.admin_port, self.providers_port = first, first + 1, first + 2
        self.environment |= {
            "GATEWAY_PORT": str(self.gateway_port),
            "ADMIN_PORT": str(self.admin_port),
            "PROVIDERS_PORT": str(self.providers_port),
        }

    def start(self) -> subprocess.Popen[str]:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nexus", "run", "--gateway", str(self.file), *self.options],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self.process

    def start_ready(self) -> subprocess.Popen[str]:
        process = self.start()
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        # With an access log the line of the first request comes before.
        line = next(line for line in lines if not line.startswith("{"))
        assert line == f"gateway ready on http://127.0.0.1:{self.gateway_port}\n"
        assert process.stdout.readline().startswith("curl http://127.0.0.1:")
        return process

    def descendants(self) -> list[int]:
        """Return the processes that the run has started."""
        assert self.process is not None
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid:
                found.append(int(stat.parent.name))
        return found

    def leftovers(self, descendants: list[int], *, but: Path | None = None) -> list[str]:
        """Return what, *but* for one file, is still there once all had five seconds to go."""
        deadline = time.monotonic() + 5
        while True:
            left = [f"process {pid}" for pid in descendants if Path(f"/proc/{pid}").exists()]
            ports = range(self.gateway_port, self.gateway_port + 4)
            left += [f"port {port}" for port in ports if not is_free(port)]
            left += [str(path) for path in (self.directory / "tmp").iterdir() if path != but]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.05)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path)
    yield run
    run.close()


def post(run: Run) -> requests.Response:
    question = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
    url = f"http://127.0.0.1:{run.gateway_port}/v1/chat/completions"
    return requests.post(url, json=question, timeout=10)


def test_it_says_it_is_ready_once_a_request_passes_and_the_first_request_is_the_users(run: Run) -> None:
    run.start_ready()

    assert post(run).status_code == 200
    journal = requests.get(f"http://127.0.0.1:{run.providers_port}/__requests", timeout=10).json()
    assert journal["total"] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_of_it_and_leaves_nothing(run: Run, number: signal.Signals) -> None:
    process = run.start_ready()
    descendants = run.descendants()
    assert len(descendants) == 2

    process.send_signal(number)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 0
    assert (out, err) == ("", "")
    assert run.leftovers(descendants) == []


def test_a_signal_while_it_starts_stops_it_too(run: Run) -> None:
    process = run.start()
    while len(run.descendants()) < 2:
        time.sleep(0.01)
    descendants = run.descendants()

    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 0
    assert (out, err) == ("", "")
    assert run.leftovers(descendants) == []


def test_even_sigkill_leaves_no_process_and_the_next_run_removes_its_files(run: Run) -> None:
    process = run.start_ready()
    descendants = run.descendants()
    [abandoned] = (run.directory / "tmp").iterdir()

    process.kill()
    process.communicate()
    hour_ago = time.time() - 3600
    os.utime(abandoned, (hour_ago, hour_ago))

    assert run.leftovers(descendants, but=abandoned) == []
    run.start_ready()
    assert not abandoned.exists()


@pytest.mark.parametrize("name", ["envoy", "python"])
def test_when_one_process_dies_all_of_it_stops_and_says_why(run: Run, name: str) -> None:
    process = run.start_ready()
    descendants = run.descendants()
    [victim] = [pid for pid in descendants if Path(f"/proc/{pid}/comm").read_text().startswith(name)]

    os.kill(victim, signal.SIGKILL)
    _, err = process.communicate(timeout=20)

    assert process.returncode == 1
    assert re.search(
        r"^(Envoy|the fake providers) ended by itself, by SIGKILL, so the gateway", err, re.MULTILINE
    )
    assert run.leftovers(descendants) == []


@pytest.mark.parametrize(
    ("offset", "variable"), [(0, "GATEWAY_PORT"), (1, "ADMIN_PORT"), (2, "PROVIDERS_PORT")]
)
def test_a_port_in_use_is_one_clear_sentence(run: Run, offset: int, variable: str) -> None:
    port = run.gateway_port + offset
    with socket.create_server(("127.0.0.1", port)):
        process = run.start()
        out, err = process.communicate(timeout=20)

    assert process.returncode == 1
    name = Path("/proc/self/comm").read_text().strip()
    assert err == (
        f"Port {port} is in use by {name} (process {os.getpid()}): "
        f"stop that, or choose another with {variable}.\n"
    )
    assert out == ""


def test_ports_that_collide_are_said_so(run: Run) -> None:
    run.environment["ADMIN_PORT"] = str(run.providers_port + 1)

    _, err = run.start().communicate(timeout=20)

    assert (
        err == f"ADMIN_PORT and PROVIDERS_PORT both want port {run.providers_port + 1}: change one of them.\n"
    )


def test_a_missing_module_is_said_with_how_to_build_it(run: Run) -> None:
    plugin = PLUGINS / "ai-nexus-classifier.yaml"
    run.file.write_text(DESCRIPTION + "module: missing.wasm\n")
    (run.directory / "plugins" / plugin.name).write_text(plugin.read_text())

    _, err = run.start().communicate(timeout=20)

    path = run.directory / "missing.wasm"
    assert err == (f"{path} is missing: build it with `python -m wasmbuild ai_nexus_classifier -o {path}`.\n")


def test_an_envoy_that_will_not_start_is_one_paragraph(run: Run) -> None:
    module = run.directory / "broken.wasm"
    module.write_bytes(b"\0asm\x01\0\0\0")
    plugin = PLUGINS / "ai-nexus-classifier.yaml"
    run.file.write_text(DESCRIPTION + "module: broken.wasm\n")
    (run.directory / "plugins" / plugin.name).write_text(plugin.read_text())

    process = run.start()
    out, err = process.communicate(timeout=60)

    assert process.returncode == 1
    assert out == ""
    assert err.startswith("Envoy did not start: Unable to create Wasm plugin ai-nexus-classifier.")
    assert err.count("\n") == 1
    assert run.leftovers([]) == []


def test_a_plugins_wrong_configuration_is_said_before_anything_is_started(run: Run) -> None:
    (run.directory / "plugins" / "classifier.yaml").write_text("""
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: ai-nexus-classifier}
spec:
  pluginName: ai-nexus-classifier
  defaultConfig: {prompt_scop: all_user, weights: {bias: ten}}
""")

    _, err = run.start().communicate(timeout=20)

    assert err.splitlines() == [
        "classifier.yaml: spec.defaultConfig.prompt_scop: unknown key, did you mean 'prompt_scope'?",
        "classifier.yaml: spec.defaultConfig.weights.bias: expected a number from -1000 to 1000, "
        "got the string 'ten'",
    ]


def test_what_only_the_plugin_itself_can_refuse_is_one_paragraph(run: Run, probe_module: Path) -> None:
    run.file.write_text(DESCRIPTION + f"module: {probe_module}\n")
    (run.directory / "plugins" / "probe.yaml").write_text(PROBE.replace("MARK", "3"))

    process = run.start()
    _, err = process.communicate(timeout=120)

    assert process.returncode == 1
    note, reason = err.splitlines()
    assert note.startswith("note: probe.yaml: spec.pluginName: no package of 'probe' is here")
    assert reason.startswith("Envoy did not start: Unable to create Wasm plugin probe.")
    assert "mark: expected text, got 3" in reason


def test_with_the_plugins_it_is_the_same_program(run: Run, module: Path) -> None:
    plugin = PLUGINS / "ai-nexus-classifier.yaml"
    run.file.write_text(DESCRIPTION + f"module: {module}\n")
    (run.directory / "plugins" / plugin.name).write_text(plugin.read_text())
    process = run.start_ready()
    descendants = run.descendants()

    assert post(run).status_code == 200
    journal = requests.get(f"http://127.0.0.1:{run.providers_port}/__requests", timeout=10).json()
    process.terminate()
    process.communicate(timeout=20)

    [request] = journal["requests"]
    assert "x-ai-complexity" in dict(request["headers"])
    assert run.leftovers(descendants) == []


def test_a_missing_envoy_is_one_sentence(run: Run) -> None:
    run.options = ("--envoy", "/nonexistent/envoy")

    _, err = run.start().communicate(timeout=20)

    assert err == "There is no executable Envoy at /nonexistent/envoy.\n"


def test_what_is_wrong_with_the_description_is_listed(run: Run) -> None:
    run.file.write_text(DESCRIPTION + "acess_log: stdout\n")

    process = run.start()
    _, err = process.communicate(timeout=20)

    assert process.returncode == 1
    assert err == "gateway.yaml: acess_log: unknown key, did you mean 'access_log'?\n"


def test_the_access_log_is_json_lines_on_stdout(run: Run) -> None:
    run.options = ("--access-log",)
    process = run.start_ready()
    post(run)
    assert process.stdout is not None

    lines = iter(process.stdout.readline, "")
    line = next(line for line in lines if '"status":200' in line)

    assert '"path":"/v1/chat/completions"' in line


class TestTakingOverChanges:
    """What is edited while it runs counts at once, or is refused and changes nothing."""

    @staticmethod
    def lines_until(stream: IO[str] | None, expected: str) -> list[str]:
        """Read lines until one has *expected* in it."""
        assert stream is not None
        lines = []
        for line in iter(stream.readline, ""):
            lines.append(line)
            if expected in line:
                return lines
        pytest.fail(f"it ended with {''.join(lines)}")

    def test_a_changed_description_is_taken_over(self, run: Run) -> None:
        process = run.start_ready()
        assert post(run).json()["choices"][0]["message"]["content"].startswith("openai")

        run.file.write_text(DESCRIPTION.replace("default_provider: openai", "default_provider: google"))
        self.lines_until(process.stdout, "taken over: routes.yaml")

        assert post(run).json()["choices"][0]["message"]["content"].startswith("google")

    def test_a_wrong_one_is_refused_with_all_that_is_wrong(self, run: Run) -> None:
        process = run.start_ready()

        run.file.write_text(
            DESCRIPTION.replace("default_provider: openai", "default_provider: nobody") + "x: 1\n"
        )
        lines = self.lines_until(process.stderr, "unknown key")

        assert lines == [
            "The change is refused, and the gateway goes on as it was:\n",
            "gateway.yaml: default_provider: expected one of openai, google, got the string 'nobody'\n",
            "gateway.yaml: x: unknown key\n",
        ]
        assert post(run).status_code == 200
        run.file.write_text(DESCRIPTION.replace("default_provider: openai", "default_provider: google"))
        self.lines_until(process.stdout, "taken over: routes.yaml")

    def test_fake_providers_are_those_of_the_start(self, run: Run) -> None:
        process = run.start_ready()

        run.file.write_text(DESCRIPTION + "- {name: third, host: 127.0.0.1, port: 1}\n")

        self.lines_until(process.stderr, "the fake ones are those of the start: openai, google")
        assert post(run).status_code == 200

    def test_what_counts_only_from_the_next_start_on_is_said(self, run: Run) -> None:
        process = run.start_ready()

        run.file.write_text(DESCRIPTION + "limits: {connections: 77}\n")

        self.lines_until(process.stderr, "limits.connections count from the next start on")

    def test_a_changed_plugin_is_taken_over_and_one_that_it_refuses_is_not(
        self, run: Run, probe_module: Path
    ) -> None:
        plugin = run.directory / "plugins" / "probe.yaml"
        run.file.write_text(DESCRIPTION + f"module: {probe_module}\n")
        plugin.write_text(PROBE.replace("MARK", "one"))
        process = run.start_ready()

        plugin.write_text(PROBE.replace("MARK", "two"))
        self.lines_until(process.stdout, "taken over: plugins.yaml")
        assert post(run).headers["x-mark"] == "two"

        plugin.write_text(PROBE.replace("MARK", "3"))
        lines = self.lines_until(process.stderr, "Envoy refuses the change, and goes on as it was:")
        assert "mark: expected text, got 3" in lines[-1]
        assert post(run).headers["x-mark"] == "two"

    def test_a_changed_price_is_what_the_next_choice_is_made_by(self, run: Run, module: Path) -> None:
        names = ("openai", "anthropic", "google", "moonshot")
        providers = "".join(f"- {{name: {name}, host: 127.0.0.1, port: 1}}\n" for name in names)
        head = DESCRIPTION.partition("providers:")[0]
        run.file.write_text(f"{head}module: {module}\ncatalog: catalog.yaml\nproviders:\n{providers}")
        run.use_free_ports(2 + len(names))
        for name in ("ai-nexus-classifier", "ai-cost-optimal-router"):
            (run.directory / "plugins" / f"{name}.yaml").write_text((PLUGINS / f"{name}.yaml").read_text())
        catalog = run.directory / "catalog.yaml"
        prices = yaml.safe_load((PLUGINS.parent / "catalog.yaml").read_text())
        catalog.write_text(yaml.safe_dump(prices))
        process = run.start_ready()
        cheapest = post(run).headers["x-ai-model"]

        [model] = [model for model in prices["catalog"] if model["name"] == cheapest]
        model["prices_nano_usd_per_token"] = {"input": 10**6, "output": 10**6}
        catalog.write_text(yaml.safe_dump(prices))

        self.lines_until(process.stdout, "taken over: plugins.yaml")
        assert post(run).headers["x-ai-model"] != cheapest


class TestSettings:
    def test_without_variables_the_description_decides(self) -> None:
        settings = Settings.from_environment({"GATEWAY_PORT": ""})

        assert (settings.gateway_port, settings.admin_port) == (None, None)
        assert (settings.providers_port, settings.workers) == (10100, 2)

    def test_everything_wrong_is_named_at_once(self) -> None:
        environment = {"GATEWAY_PORT": "http", "ADMIN_PORT": "0", "PROVIDERS_PORT": "65536", "WORKERS": "-1"}

        with pytest.raises(RunError) as caught:
            Settings.from_environment(environment)

        assert str(caught.value).splitlines() == [
            "GATEWAY_PORT: expected an integer from 1 to 65535, got 'http'.",
            "ADMIN_PORT: expected an integer from 1 to 65535, got '0'.",
            "PROVIDERS_PORT: expected an integer from 1 to 65535, got '65536'.",
            "WORKERS: expected an integer from 1 to 256, got '-1'.",
        ]
