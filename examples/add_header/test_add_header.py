import pytest
from proxytest import ConfigurationRefused, Gateway


def test_upstream_and_client_get_the_header(gateway: Gateway) -> None:
    gateway.load("add-header", {"value": "you"})

    exchange = gateway.get("/")

    assert exchange.upstream is not None
    assert exchange.upstream.headers["x-hello"] == "you"
    assert exchange.reply.headers["x-hello"] == "you"


def test_a_header_the_client_sent_is_replaced(gateway: Gateway) -> None:
    gateway.load("add-header", {"name": "x-who", "value": "gateway"})

    exchange = gateway.get("/", headers={"X-Who": "client"})

    assert exchange.upstream is not None
    assert exchange.upstream.headers.get_all("x-who") == ["gateway"]


def test_a_wrong_configuration_is_refused(gateway: Gateway) -> None:
    with pytest.raises(ConfigurationRefused):
        gateway.load("add-header", {"value": 7})
