"""Properties: paths, types and absence."""

import struct

import pytest

from proxywasm import HostError, Properties, PropertyTypeError
from proxywasm._abi import Status, encode_pairs

from .fake_host import FakeHost


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def properties(host: FakeHost) -> Properties:
    return Properties(host)


def test_each_type_is_decoded(host: FakeHost, properties: Properties) -> None:
    host.properties = {
        b"source\0address": b"10.0.0.1:80",
        b"response\0code": struct.pack("<q", 503),
        b"x\0ratio": struct.pack("<d", 0.25),
        b"connection\0mtls": b"\1",
        b"request\0duration": struct.pack("<q", 1_500_000_000),
        b"request\0headers": encode_pairs([(b"a", b"1"), (b"b", b"\xff")]),
    }

    assert properties.get("source", "address") == b"10.0.0.1:80"
    assert properties.get_str("source", "address") == "10.0.0.1:80"
    assert properties.get_int("response", "code") == 503
    assert properties.get_float("x", "ratio") == 0.25
    assert properties.get_bool("connection", "mtls") is True
    assert properties.get_seconds("request", "duration") == 1.5
    assert properties.get_map("request", "headers") == {"a": "1", "b": "\udcff"}


@pytest.mark.parametrize(
    "name", ["get", "get_str", "get_int", "get_float", "get_bool", "get_seconds", "get_map"]
)
def test_what_is_not_there_is_none(properties: Properties, name: str) -> None:
    assert getattr(properties, name)("nope") is None


@pytest.mark.parametrize("name", ["get_int", "get_float", "get_bool", "get_seconds", "get_map"])
def test_another_type_is_an_error_that_names_the_path_and_not_the_value(
    host: FakeHost, properties: Properties, name: str
) -> None:
    host.properties[b"a\0b"] = b"private"

    with pytest.raises(PropertyTypeError, match=r"property a\.b: expected .*, got 7 bytes") as caught:
        getattr(properties, name)("a", "b")

    assert "private" not in str(caught.value)


def test_a_failure_of_the_host_is_an_error(host: FakeHost, properties: Properties) -> None:
    host.statuses["get_property"] = Status.SERIALIZATION_FAILURE

    with pytest.raises(HostError, match=r"get_property: SERIALIZATION_FAILURE: a\.b"):
        properties.get("a", "b")


def test_the_route_is_looked_up_by_its_new_name_then_by_its_old_one(
    host: FakeHost, properties: Properties
) -> None:
    host.properties = {b"cluster_name": b"old", b"route_name": b"old-route"}
    assert (properties.cluster_name, properties.route_name) == ("old", "old-route")

    host.properties |= {b"xds\0cluster_name": b"new", b"xds\0route_name": b"new-route"}
    assert (properties.cluster_name, properties.route_name) == ("new", "new-route")


def test_a_property_can_be_set_and_read_by_the_same_name(properties: Properties) -> None:
    properties.set("ai.model", "gpt")
    properties.set("raw", b"\xff")

    assert properties.get_str("ai.model") == "gpt"
    assert properties.get("raw") == b"\xff"
