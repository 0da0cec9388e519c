"""What the filter does, on every host that the command line names."""

import pytest

from proxytest import ConfigurationRefusedError, Gateway


def test_upstream_and_client_get_the_header(gateway: Gateway) -> None:
    """Upstream and client get the header."""
    gateway.load("add-header", {"value": "you"})

    exchange = gateway.get("/")

    assert exchange.upstream is not None
    assert exchange.upstream.headers["x-hello"] == "you"
    assert exchange.reply.headers["x-hello"] == "you"


def test_a_header_the_client_sent_is_replaced(gateway: Gateway) -> None:
    """A header the client sent is replaced."""
    gateway.load("add-header", {"name": "x-who", "value": "gateway"})

    exchange = gateway.get("/", headers={"X-Who": "client"})

    assert exchange.upstream is not None
    assert exchange.upstream.headers.get_all("x-who") == ["gateway"]


def test_a_wrong_configuration_is_refused(gateway: Gateway) -> None:
    """A wrong configuration is refused."""
    with pytest.raises(ConfigurationRefusedError):
        gateway.load("add-header", {"value": 7})
