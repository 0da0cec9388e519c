"""What happens when a VM does die, by failure strategy: with a module made to die, for ours does not."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import requests
import wasmtime

from nexus.testing import RunningGateway, describe_plugin, running_gateway
from nexus.wasmplugin import FailStrategy

# Traps when a request ends with its headers, as a GET does, and lets everything else pass.
DYING_MODULE = """
(module
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 1024))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    global.get $top
    (global.set $top (i32.add (global.get $top) (local.get $size))))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (local.get 2) (then unreachable))
    i32.const 0))
"""


@contextmanager
def mortal_gateway(strategy: FailStrategy, directory: Path) -> Iterator[RunningGateway]:
    module = directory / "dying.wasm"
    module.write_bytes(bytes(wasmtime.wat2wasm(DYING_MODULE)))
    plugin = replace(describe_plugin("dying", {}), fail_strategy=strategy)
    with running_gateway([plugin], module=module) as gateway:
        yield gateway


def post(gateway: RunningGateway) -> int:
    question = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
    return requests.post(f"{gateway.base_url}/v1/chat/completions", json=question, timeout=10).status_code


def kill(gateway: RunningGateway) -> None:
    assert gateway.vm_crashes() == []
    requests.get(f"{gateway.base_url}/v1/models", timeout=10)
    deadline = time.monotonic() + 5
    while not gateway.vm_crashes():
        assert time.monotonic() < deadline


@pytest.mark.parametrize(("strategy", "status"), [("FAIL_OPEN", 200), ("FAIL_CLOSE", 503)])
def test_without_reload_it_stays_as_it_is(strategy: FailStrategy, status: int, tmp_path: Path) -> None:
    with mortal_gateway(strategy, tmp_path) as gateway:
        assert post(gateway) == 200

        kill(gateway)

        assert [post(gateway) for _ in range(3)] == [status] * 3


def test_with_reload_a_new_vm_comes_up_by_itself(tmp_path: Path) -> None:
    with mortal_gateway("FAIL_RELOAD", tmp_path) as gateway:
        kill(gateway)

        deadline = time.monotonic() + 10
        while post(gateway) != 200:
            assert time.monotonic() < deadline
        assert gateway.admin.stats("wasm.dying.")["wasm.dying.vm_reload_success"] == 1
        assert any("vm_reload_success" in sign for sign in gateway.vm_crashes())


def test_a_dead_vm_is_an_openai_error_for_the_client(tmp_path: Path) -> None:
    with mortal_gateway("FAIL_CLOSE", tmp_path) as gateway:
        kill(gateway)

        response = requests.post(f"{gateway.base_url}/v1/chat/completions", json={}, timeout=10)

    assert response.status_code == 503
    assert response.json()["error"]["code"] == "wasm_fail_stream"
