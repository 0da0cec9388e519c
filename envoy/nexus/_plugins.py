"""The plugins as Envoy's wasm filters: one module, one VM per worker, told apart by their root ids."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from ._nodes import HTTP_FILTERS, Node
from .wasmplugin import WasmPlugin

VM_ID = "ai-nexus"
"""One VM per worker for all plugins; what they share, they share under this id."""

FILTER_CHAIN = f"{HTTP_FILTERS}.filter_chain.v3.FilterChainConfig"
"""A filter that is a chain of filters: so all plugins are one resource, taken over or refused as one."""

_FAILURE_POLICIES = {"FAIL_OPEN": "FAIL_OPEN", "FAIL_CLOSE": "FAIL_CLOSED", "FAIL_RELOAD": "FAIL_RELOAD"}


def wasm_filters(plugins: Sequence[WasmPlugin], module: Path, *, edition: str = "") -> list[Node]:
    """Return one HTTP filter for each of *plugins*, all in one VM.

    An *edition* that differs makes it another VM. Envoy reads the module anew whenever the configuration of
    the filters changes, but it does not see by itself that the file has changed, nor the environment.
    """
    vm_config: Node = {
        "vm_id": VM_ID,
        "runtime": "envoy.wasm.runtime.v8",
        "code": {"local": {"filename": str(module)}},
    }
    if edition:
        vm_config["configuration"] = _string(edition)
    environment = _environment(plugins)
    if environment:
        vm_config["environment_variables"] = environment
    return [_wasm_filter(plugin, vm_config) for plugin in plugins]


def plugin_chain(filters: Sequence[Node]) -> Node:
    """Return the chain of *filters* as one resource for extension config discovery."""
    chain = {"default_filter_chain": {"filters": list(filters)}} if filters else {}
    return {"name": "plugins", "typed_config": {"@type": FILTER_CHAIN} | chain}


def edition_of(module: Path, plugins: Sequence[WasmPlugin]) -> str:
    """Return what changes with the content of *module*, as far as it is there, and with the environment."""
    digest = hashlib.sha256(json.dumps(_environment(plugins), sort_keys=True).encode())
    if module.is_file():
        digest.update(module.read_bytes())
    return digest.hexdigest()[:16]


def _wasm_filter(plugin: WasmPlugin, vm_config: Node) -> Node:
    configuration = json.dumps(plugin.config, ensure_ascii=False, separators=(",", ":"))
    return {
        "name": plugin.name,
        "typed_config": {
            "@type": f"{HTTP_FILTERS}.wasm.v3.Wasm",
            "config": {
                "name": plugin.plugin_name,
                "root_id": plugin.plugin_name,
                "failure_policy": _FAILURE_POLICIES[plugin.fail_strategy],
                # A plugin stops in the headers, reads the body, then changes the headers. Without this Envoy
                # takes such a stop for "no body either", and the request hangs.
                "allow_on_headers_stop_iteration": True,
                "vm_config": vm_config,
                "configuration": _string(configuration),
            },
        },
    }


def _string(value: str) -> Node:
    return {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": value}


def _environment(plugins: Sequence[WasmPlugin]) -> Node:
    """Return the variables of all plugins together: they share one VM, which has one environment."""
    variables = {variable.name: variable.value for plugin in plugins for variable in plugin.environment}
    inline = {name: value for name, value in variables.items() if value is not None}
    host = [name for name, value in variables.items() if value is None]
    return ({"key_values": inline} if inline else {}) | ({"host_env_keys": host} if host else {})
