"""The access log: one JSON object a line. A field is added here, and nowhere else.

Never a prompt, an answer or a key: only what filters and Envoy have found out about a request.
"""

from ._nodes import API, Node

AUDIT_RECORD = "ai_nexus.router"
"""The property in which the router leaves the record of its decision; Envoy keeps it as filter state."""

BUDGET_RECORD = "ai_nexus.budget"
"""The property in which the budget guard leaves what was reserved and charged."""

_OF_ENVOY: Node = {
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ)%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "request_bytes": "%BYTES_RECEIVED%",
    "response_bytes": "%BYTES_SENT%",
    "duration_ms": "%DURATION%",
    "first_byte_ms": "%RESPONSE_DURATION%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "route": "%ROUTE_NAME%",
}

_OF_FILTERS: Node = {
    "consumer": "%REQ(X-MSE-CONSUMER)%",
    "complexity": "%REQ(X-AI-COMPLEXITY)%",
    "domain": "%REQ(X-AI-DOMAIN)%",
    "latency": "%REQ(X-AI-LATENCY)%",
    "prompt_tokens": "%REQ(X-AI-PROMPT-TOKENS)%",
    "score": "%REQ(X-AI-SCORE)%",
    "tier": "%REQ(X-AI-TIER)%",
    "model": "%REQ(X-AI-MODEL)%",
    "provider": "%REQ(X-AI-PROVIDER)%",
    "strategy": "%REQ(X-AI-STRATEGY)%",
    "reason": "%REQ(X-AI-REASON)%",
    "estimated_cost_usd": "%REQ(X-AI-ESTIMATED-COST)%",
    "fallbacks": "%REQ(X-AI-FALLBACKS)%",
    "audit": f"%FILTER_STATE(wasm.{AUDIT_RECORD}:PLAIN)%",
    "budget": f"%FILTER_STATE(wasm.{BUDGET_RECORD}:PLAIN)%",
}


def access_log() -> Node:
    """Return an ``envoy.config.accesslog.v3.AccessLog`` to standard output."""
    return {
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": f"{API}.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"json_format": _OF_ENVOY | _OF_FILTERS},
        },
    }
