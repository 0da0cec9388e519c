"""The plugins for Higress: complete WasmPlugin YAML, with the catalog in it, for ``kubectl apply``."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from ._nodes import Node
from .wasmplugin import WasmPlugin

__all__ = ["higress_documents"]


def higress_documents(plugins: Sequence[WasmPlugin], url: str | None = None) -> dict[str, Node]:
    """Return for each of *plugins*, by the name of its file, what Higress takes.

    That is the file as it is written, with the configurations of *plugins* and, if given, *url* as the place
    of the module. Higress matches rules itself, so they stay under ``matchRules``.
    """
    return {plugin.file: _document(plugin, url) for plugin in plugins}


def _document(plugin: WasmPlugin, url: str | None) -> Node:
    document = deepcopy(dict(plugin.document))
    spec: Any = document["spec"]
    if plugin.default_config:
        spec["defaultConfig"] = dict(plugin.default_config)
    configs = {rule.where: dict(rule.config) for rule in plugin.rules}
    for index, rule in enumerate(spec.get("matchRules") or []):
        where = f"spec.matchRules[{index}]"
        if where in configs:
            rule["config"] = configs[where]
    # Higress knows two strategies, and brings a crashed VM back by itself.
    if spec.get("failStrategy") == "FAIL_RELOAD":
        spec["failStrategy"] = "FAIL_CLOSE"
    if url is not None:
        spec["url"] = url
    return document
