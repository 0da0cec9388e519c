"""Routes: which provider takes a request for which no plugin has chosen, and how a choice is followed."""

import re

from aigateway import signals

from ._clusters import ROUTED
from ._nodes import Node, duration
from .description import Gateway, Provider, Route

ROUTES = "gateway"
"""The name of the route configuration."""

# The path of every API that is spoken here; what a provider has in its place is its `path_prefix`.
_API_PREFIX = "/v1"

# Only for requests that cannot have reached a provider: sending those again repeats nothing.
_RETRY_POLICY: Node = {"retry_on": "connect-failure,refused-stream,reset-before-request", "num_retries": 2}


def route_configuration(gateway: Gateway) -> Node:
    """Return an ``envoy.config.route.v3.RouteConfiguration``.

    Envoy looks for the host first and for the path among the routes of that host, so each domain has all the
    routes that are for it, in their order.
    """
    domains = dict.fromkeys(domain for route in gateway.routes for domain in route.domains)
    hosts = [_virtual_host(gateway, domain) for domain in domains]
    if any(not route.domains for route in gateway.routes):
        hosts.append(_virtual_host(gateway, "*"))
    return {"name": ROUTES, "virtual_hosts": hosts, "ignore_port_in_host_matching": True}


def _virtual_host(gateway: Gateway, domain: str) -> Node:
    routes = [route for route in gateway.routes if route.serves_all_of(domain)]
    return {
        "name": "any" if domain == "*" else domain,
        "domains": [domain],
        "request_body_buffer_limit": gateway.limits.body_bytes,
        "retry_policy": dict(_RETRY_POLICY),
        "routes": [entry for route in routes for entry in _entries(gateway, route)],
    }


def _entries(gateway: Gateway, route: Route) -> list[Node]:
    """Return one route as Envoy's: by the cluster header, then to the route's own provider.

    All have one name, so that a rule of a plugin holds before and after the router has chosen. A provider
    whose API is not under ``/v1`` has an entry of its own, for the path is rewritten by the route.
    """
    by_name = {provider.name: provider for provider in gateway.providers}
    chosen = [
        _entry(gateway, route, header={"string_match": {"exact": provider.name}}, provider=provider)
        for provider in gateway.providers
        if provider.path_prefix != _API_PREFIX
    ]
    default = by_name[route.provider or gateway.default_provider]
    return [
        *chosen,
        _entry(gateway, route, header={"present_match": True}, provider=None),
        _entry(gateway, route, header=None, provider=default),
    ]


def _entry(gateway: Gateway, route: Route, *, header: Node | None, provider: Provider | None) -> Node:
    match: Node = {"prefix": "/"}
    if route.path_prefix != "/":
        match = {"path_separated_prefix": route.path_prefix}
    if header:
        match["headers"] = [{"name": signals.CLUSTER} | header]
    action: Node = {"cluster_header": signals.CLUSTER, "metadata_match": ROUTED}
    if provider:
        action = {"cluster": provider.name}
    if provider and provider.path_prefix != _API_PREFIX:
        action["regex_rewrite"] = {
            "pattern": {"regex": f"^{re.escape(_API_PREFIX)}/"},
            "substitution": f"{provider.path_prefix}/",
        }
    return {"name": route.name, "match": match, "route": action | _waiting(gateway, route)}


def _waiting(gateway: Gateway, route: Route) -> Node:
    timeouts = gateway.timeouts
    return {
        "auto_host_rewrite": True,
        "timeout": duration(timeouts.response_s if route.response_s is None else route.response_s),
        "idle_timeout": duration(timeouts.idle_s if route.idle_s is None else route.idle_s),
    }
