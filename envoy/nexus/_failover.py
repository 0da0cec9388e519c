"""Failover: an upstream filter at every provider, and routes that follow where it sends the next attempt.

It is there when the circuit breaker hands attempts over to it (``attempts: upstream`` in its configuration),
and without that nothing here changes anything. The filter says the cluster of the next attempt as filter
state; a matcher reads that anew before each retry (``refresh_cluster_on_retry``, Envoy 1.39 and later).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aigateway import signals

from ._keys import KEY_FILTER
from ._nodes import API, HTTP_FILTERS, Node, duration, file_source, socket_address
from .description import Gateway, Provider
from .wasmplugin import WasmPlugin

__all__ = [
    "attempt_plugin",
    "discovered_filter",
    "mixed_attempts",
    "settled_downstream",
    "told_of_gateway",
    "with_attempt_filter",
    "with_failover",
]

_BREAKER = "ai-provider-circuit-breaker"
_ATTEMPT = "ai-provider-attempt"
_NEXT_CLUSTER = "wasm.ai_nexus.next"
"""The filter state in which the filter leaves the cluster of the next attempt."""

_SPECIFIER = f"{API}.extensions.router.cluster_specifiers.matcher.v3"
_NOBODY = socket_address("127.0.0.1", 1)
"""Refuses connections. Envoy tries again elsewhere after that, but not when there is nobody to connect to."""


def told_of_gateway(plugins: Sequence[WasmPlugin], gateway: Gateway) -> list[WasmPlugin]:
    """Return *plugins*, of which the breaker knows the gateway if it hands over attempts."""
    surroundings = {"gateway": _surroundings(gateway)}

    def told(plugin: WasmPlugin) -> WasmPlugin:
        default = plugin.default_config
        rules = tuple(replace(rule, config={**rule.config, **surroundings}) for rule in plugin.rules)
        default = None if default is None else {**default, **surroundings}
        return replace(plugin, default_config=default, rules=rules)

    return [told(plugin) if _is_handing_over(plugin) else plugin for plugin in plugins]


def attempt_plugin(plugins: Sequence[WasmPlugin]) -> WasmPlugin | None:
    """Return the upstream filter for *plugins*: the breaker's other half, with its configuration."""
    breaker = next((plugin for plugin in plugins if _is_handing_over(plugin)), None)
    return None if breaker is None else replace(breaker, name=_ATTEMPT, plugin_name=_ATTEMPT)


def discovered_filter(file: Path) -> Node:
    """Return the filter as one that *file* describes: what changes there does not touch the clusters."""
    discovery: Node = {"config_source": file_source(file), "type_urls": [f"{HTTP_FILTERS}.wasm.v3.Wasm"]}
    return {"name": _ATTEMPT, "config_discovery": discovery}


def mixed_attempts(plugin: WasmPlugin) -> list[str]:
    """Return what is wrong with a breaker that hands over attempts at some requests, and not at others."""
    if plugin.plugin_name != _BREAKER:
        return []
    places: dict[bool, list[str]] = {}
    for where, config in plugin.configurations():
        places.setdefault(_hands_over(config), []).append(where)
    if len(places) < 2:
        return []
    return [
        f"{plugin.file}: {where}.attempts: expected upstream, as in {places[True][0]}: "
        "the proxy makes further attempts for all requests or for none"
        for where in places[False]
    ]


def settled_downstream(plugin: WasmPlugin) -> WasmPlugin:
    """Return *plugin* for Higress, which cannot have a filter of each attempt: the breaker settles itself."""
    if plugin.plugin_name != _BREAKER:
        return plugin

    def changed(config: Mapping[str, object]) -> Mapping[str, object]:
        return {**config, "attempts": "downstream"} if _hands_over(config) else config

    default = plugin.default_config
    rules = tuple(replace(rule, config=changed(rule.config)) for rule in plugin.rules)
    return replace(plugin, default_config=None if default is None else changed(default), rules=rules)


def with_failover(routes: Node, gateway: Gateway) -> Node:
    """Return the route configuration *routes* with failover: the first cluster as before, then the next."""
    hosts: Any = routes["virtual_hosts"]
    return routes | {"virtual_hosts": [_host_with_failover(host, gateway) for host in hosts]}


def with_attempt_filter(cluster: Node, provider: Provider, gateway: Gateway, filters: Sequence[Node]) -> Node:
    """Return the cluster of *provider* with *filters* before all others that a request meets on its way."""
    options: Any = cluster["typed_extension_protocol_options"]
    [(name, protocol)] = options.items()
    present = [_without_answers(each) for each in protocol.get("http_filters") or [_codec()]]
    changed = cluster | {
        "typed_extension_protocol_options": {name: protocol | {"http_filters": [*filters, *present]}},
        "circuit_breakers": {"thresholds": [_with_budget(cluster, gateway)]},
    }
    if not provider.has_ip_address:
        assignment: Any = cluster["load_assignment"]
        [known] = assignment["endpoints"]
        nobody = {"priority": 1, "lb_endpoints": [{"endpoint": {"address": _NOBODY}}]}
        changed |= {"type": "STRICT_DNS", "load_assignment": assignment | {"endpoints": [known, nobody]}}
    return changed


def _is_handing_over(plugin: WasmPlugin) -> bool:
    return plugin.plugin_name == _BREAKER and any(
        _hands_over(config) for _, config in plugin.configurations()
    )


def _hands_over(config: Mapping[str, object]) -> bool:
    return config.get("attempts") == "upstream"


def _surroundings(gateway: Gateway) -> Node:
    """Return what the filter cannot find out by itself."""
    retries, timeouts = gateway.retries, gateway.timeouts
    limits = [retries.try_s, retries.idle_s, timeouts.response_s, timeouts.idle_s]
    prefixes = {
        provider.name: provider.path_prefix for provider in gateway.providers if provider.path_prefix != "/v1"
    }
    return {
        "timeout_s": min((limit for limit in limits if limit), default=0),
        "path_prefixes": prefixes,
        "keyed_clusters": [provider.name for provider in gateway.providers if provider.key],
    }


def _host_with_failover(host: Mapping[str, Any], gateway: Gateway) -> Node:
    """Return a virtual host in which each route has one entry, for whatever cluster.

    The path is the filter's to write, so entries for the sake of one provider's path are not needed.
    """
    entries = [entry for entry in host["routes"] if "headers" not in entry["match"]]
    return {
        **host,
        "retry_policy": _retry_policy(gateway),
        "routes": [{**entry, "route": _action(entry["route"], gateway)} for entry in entries],
    }


def _action(action: Mapping[str, Any], gateway: Gateway) -> Node:
    kept = {key: value for key, value in action.items() if key not in ("cluster", "regex_rewrite")}
    names = [provider.name for provider in gateway.providers]
    chosen: Node = {
        "matcher_tree": _tree(
            "envoy.matching.inputs.request_headers",
            {"@type": f"{API}.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": signals.CLUSTER},
            names,
        ),
        "on_no_match": _to(action["cluster"]),
    }
    matcher: Node = {
        "matcher_tree": _tree(
            "envoy.matching.inputs.filter_state",
            {
                "@type": f"{API}.extensions.matching.common_inputs.network.v3.FilterStateInput",
                "key": _NEXT_CLUSTER,
            },
            names,
        ),
        "on_no_match": {"matcher": chosen},
    }
    specifier: Node = {"@type": f"{_SPECIFIER}.MatcherClusterSpecifier", "cluster_matcher": matcher}
    plugin: Node = {"extension": {"name": "failover", "typed_config": specifier}}
    return {"inline_cluster_specifier_plugin": plugin} | kept


def _tree(name: str, what: Node, clusters: Sequence[str]) -> Node:
    return {
        "input": {"name": name, "typed_config": what},
        "exact_match_map": {"map": {cluster: _to(cluster) for cluster in clusters}},
    }


def _to(cluster: str) -> Node:
    action: Node = {"@type": f"{_SPECIFIER}.ClusterAction", "cluster": cluster}
    return {"action": {"name": "to", "typed_config": action}}


def _retry_policy(gateway: Gateway) -> Node:
    retries = gateway.retries
    policy: Node = {
        "retry_on": ",".join(
            [*retries.conditions, *(["retriable-status-codes"] if retries.statuses else [])]
        ),
        "num_retries": retries.attempts - 1,
        "refresh_cluster_on_retry": True,
        "retry_back_off": {
            "base_interval": duration(retries.back_off_s),
            "max_interval": duration(retries.back_off_limit_s),
        },
    }
    if retries.statuses:
        policy["retriable_status_codes"] = list(retries.statuses)
    if retries.try_s:
        policy["per_try_timeout"] = duration(retries.try_s)
    if retries.idle_s:
        policy["per_try_idle_timeout"] = duration(retries.idle_s)
    return policy


def _with_budget(cluster: Node, gateway: Gateway) -> Node:
    breakers: Any = cluster["circuit_breakers"]
    [thresholds] = breakers["thresholds"]
    budget = {
        "budget_percent": {"value": gateway.retries.budget_percent},
        "min_retry_concurrency": gateway.retries.budget_least,
    }
    return {**thresholds, "retry_budget": budget}


def _without_answers(upstream_filter: Node) -> Node:
    """Have requests go on whose key is not there.

    If the filter of the key answered them itself, that would be the caller's answer, and nobody else would
    be tried. The provider refuses them instead; the filter of the attempt has them carry no other key.
    """
    if upstream_filter["name"] != KEY_FILTER:
        return upstream_filter
    options: Any = upstream_filter["typed_config"]
    return upstream_filter | {"typed_config": options | {"allow_request_without_credential": True}}


def _codec() -> Node:
    return {
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": {"@type": f"{HTTP_FILTERS}.upstream_codec.v3.UpstreamCodec"},
    }
