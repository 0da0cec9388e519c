"""What the filter does, on every host that the command line names."""

import json

from proxytest import Gateway


def test_a_missing_model_is_filled_in(gateway: Gateway) -> None:
    """A missing model is filled in."""
    gateway.load("rewrite-body", {"model": "small"})

    exchange = gateway.post("/v1/chat/completions", json={"messages": []})

    assert exchange.upstream is not None
    assert exchange.upstream.json() == {"messages": [], "model": "small"}
    assert exchange.upstream.complete
    assert gateway.metrics["models_filled_in"] == 1


def test_a_model_that_is_there_stays(gateway: Gateway) -> None:
    """A model that is there stays."""
    gateway.load("rewrite-body", {"model": "small"})

    exchange = gateway.post("/v1/chat/completions", json={"model": "large"})

    assert exchange.upstream is not None
    assert exchange.upstream.json() == {"model": "large"}


def test_a_body_may_come_in_any_pieces(gateway: Gateway) -> None:
    """A body may come in any pieces."""
    gateway.load("rewrite-body", {"model": "small"})
    body = json.dumps({"messages": []}).encode()

    exchange = gateway.post("/v1/chat/completions", chunks=tuple(bytes([byte]) for byte in body))

    assert exchange.upstream is not None
    assert exchange.upstream.json() == {"messages": [], "model": "small"}


def test_what_is_not_json_is_refused_before_the_upstream(gateway: Gateway) -> None:
    """What is not json is refused before the upstream."""
    gateway.load("rewrite-body", {"model": "small"})

    exchange = gateway.post("/v1/chat/completions", body=b"hello")

    assert exchange.reply.status == 400
    assert exchange.upstream is None
