"""Rules by route, domain and service, as Higress configures plugins."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from proxywasm import CONTINUE, ConfigurationError, HttpFilter, Outcome, Request, Response
from proxywasm._abi import MapType
from proxywasm.higress import parse_configurations

from .fake_host import FakeHost
from .worker import StreamDriver, Worker, definition


@dataclass(frozen=True)
class To:
    route_name: str | None = None
    cluster_name: str | None = None
    authority: str | None = None


def chosen(values: Mapping[str, Any], to: To) -> object:
    """The number in the configuration a request gets, or None."""
    found = parse_configurations(values, dict).choose(to)
    return found[0].get("n") if found else None


def one_rule(**match: object) -> dict[str, Any]:
    return {"n": 0, "_rules_": [{**match, "n": 1}]}


@pytest.mark.parametrize(
    ("match", "to", "matches"),
    [
        ({"_match_route_": ["a", "b"]}, To(route_name="b"), True),
        ({"_match_route_": ["a"]}, To(route_name="ab"), False),
        ({"_match_route_": ["a"]}, To(), False),
        ({"_match_route_prefix_": ["a", "x"]}, To(route_name="xyz"), True),
        ({"_match_route_prefix_": ["a"]}, To(route_name="ba"), False),
        ({"_match_route_prefix_": ["a"]}, To(), False),
        ({"_match_domain_": ["a.com"]}, To(authority="a.com"), True),
        ({"_match_domain_": ["a.com"]}, To(authority="A.com:8080"), True),
        ({"_match_domain_": ["a.com"]}, To(authority="b.a.com"), False),
        ({"_match_domain_": ["*.a.com"]}, To(authority="b.a.com"), True),
        ({"_match_domain_": ["*.a.com"]}, To(authority="a.com"), False),
        ({"_match_domain_": ["*"]}, To(authority="anything"), True),
        ({"_match_domain_": ["a.*"]}, To(authority="a.org:443"), True),
        ({"_match_domain_": ["a.com"]}, To(), False),
        ({"_match_service_": ["x.dns"]}, To(cluster_name="outbound|443||x.dns"), True),
        ({"_match_service_": ["x.dns:443"]}, To(cluster_name="outbound|443||x.dns"), True),
        ({"_match_service_": ["x.dns:80"]}, To(cluster_name="outbound|443||x.dns"), False),
        # ... or, where there is no Higress, that is the cluster.
        ({"_match_service_": ["y", "openai"]}, To(cluster_name="openai"), True),
        ({"_match_service_": ["openai"]}, To(cluster_name="openai-eu"), False),
        ({"_match_service_": ["openai:443"]}, To(cluster_name="openai"), False),
        ({"_match_service_": ["openai"]}, To(cluster_name="outbound|443||openai"), True),
        ({"_match_service_": ["x.dns"]}, To(), False),
        # A route and a service must both match ...
        (
            {"_match_route_": ["a"], "_match_service_": ["x.dns"]},
            To(route_name="a", cluster_name="outbound|1||x.dns"),
            True,
        ),
        (
            {"_match_route_": ["a"], "_match_service_": ["x.dns"]},
            To(route_name="a", cluster_name="outbound|1||y.dns"),
            False,
        ),
        # ... while a route alone outweighs a domain, and a domain a service.
        ({"_match_route_": ["a"], "_match_domain_": ["b"]}, To(route_name="a", authority="c"), True),
        (
            {"_match_domain_": ["a"], "_match_service_": ["x.dns"]},
            To(authority="b", cluster_name="outbound|1||x.dns"),
            False,
        ),
    ],
)
def test_a_rule_matches(match: dict[str, object], to: To, matches: bool) -> None:
    assert chosen(one_rule(**match), to) == (1 if matches else 0)


def test_the_first_rule_that_matches_decides() -> None:
    values = {
        "_rules_": [
            {"_match_route_": ["x"], "n": 1},
            {"_match_route_prefix_": ["a"], "n": 2},
            {"_match_route_": ["a"], "n": 3},
        ]
    }

    assert chosen(values, To(route_name="a")) == 2


def test_a_rule_replaces_the_global_configuration() -> None:
    values = {"n": 1, "other": 2, "_rules_": [{"_match_route_": ["a"], "m": 3}]}
    configurations = parse_configurations(values, dict)

    assert configurations.choose(To(route_name="a")) == ({"m": 3},)
    assert configurations.choose(To(route_name="b")) == ({"n": 1, "other": 2},)


def test_without_a_match_and_a_global_configuration_there_is_none() -> None:
    assert (
        parse_configurations({"_rules_": [{"_match_route_": ["a"], "n": 1}]}, dict).choose(To(route_name="b"))
        == ()
    )


@pytest.mark.parametrize("values", [{}, {"_plugin_id_": "x"}])
def test_an_empty_object_is_a_global_configuration(values: dict[str, object]) -> None:
    assert parse_configurations(values, dict).choose(To()) == ({},)


def parse_limit(values: Mapping[str, Any]) -> object:
    if not isinstance(values.get("limit"), int):
        raise ValueError("limit: expected a number")
    return values


class RefusedError(ValueError):
    problems = (type("Problem", (), {"path": "limits[0]", "message": "too low"})(),)


def refuse(values: Mapping[str, Any]) -> object:
    raise RefusedError


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        (
            {"limit": "x", "_rules_": [{"_match_route_": ["a"]}, {"limit": 1}, 7]},
            (
                "limit: expected a number",
                "_rules_[0]: limit: expected a number",
                "_rules_[1]: expected one of "
                "_match_route_, _match_domain_, _match_service_, _match_route_prefix_",
                "_rules_[2]: expected an object",
            ),
        ),
        ({"limit": 1, "_rules_": {}}, ("_rules_: expected a list of rules",)),
        ({"_rules_": []}, ("_rules_: no rule, and no configuration beside it",)),
        (
            {"_rules_": [{"_match_domain_": "a.com", "limit": 1}]},
            ("_rules_[0]._match_domain_: expected a list of non-empty strings",),
        ),
        (
            {"_rules_": [{"_match_domain_": ["a", ""], "limit": 1}]},
            ("_rules_[0]._match_domain_: expected a list of non-empty strings",),
        ),
    ],
)
def test_all_problems_come_at_once_with_their_rule(
    values: dict[str, object], problems: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_configurations(values, parse_limit)

    assert caught.value.problems == problems


def test_problems_with_a_path_of_their_own_are_put_under_their_rule() -> None:
    with pytest.raises(ConfigurationError, match=r"^_rules_\[0\]\.limits\[0\]: too low$"):
        parse_configurations({"_rules_": [{"_match_route_": ["a"]}]}, refuse)


class Tags(HttpFilter[Mapping[str, Any]]):
    def on_request_headers(self, request: Request) -> Outcome:
        request.headers["x-n"] = str(self.config["n"])
        return CONTINUE


RULES = {"n": 0, "_rules_": [{"_match_route_": ["chat"], "n": 1}, {"_match_domain_": ["*.example"], "n": 2}]}


def tagged(host: FakeHost, stream: StreamDriver, authority: str = "other") -> str | None:
    stream.request_headers({":authority": authority})
    return host.headers(MapType.REQUEST_HEADERS).get("x-n")


def test_a_stream_gets_the_configuration_for_where_it_goes() -> None:
    worker = Worker(definition(Tags), RULES)
    host = worker.host
    host.properties[b"xds\0route_name"] = b"chat"
    assert tagged(host, worker.stream()) == "1"

    host.properties[b"xds\0route_name"] = b"other"
    assert tagged(host, worker.stream(), "api.example:80") == "2"
    assert tagged(host, worker.stream()) == "0"


def test_where_a_request_goes_is_looked_at_only_when_there_are_rules() -> None:
    worker = Worker(definition(Tags), {"n": 0})
    worker.host.calls.clear()
    worker.stream().request_headers()

    assert worker.host.calls == ["replace_header_map_value"]


def test_only_what_the_rules_ask_for_is_looked_at() -> None:
    worker = Worker(definition(Tags), {"n": 0, "_rules_": [{"_match_domain_": ["a"], "n": 1}]})
    worker.host.calls.clear()
    worker.stream().request_headers()

    assert worker.host.calls == ["get_header_map_value", "replace_header_map_value"]


def test_a_stream_no_configuration_is_for_has_no_filter() -> None:
    made: list[object] = []

    class Counted(Tags):
        def __init__(self) -> None:
            made.append(self)

        def on_log(self) -> None:
            made.append("log")

        def on_done(self) -> None:
            made.append("done")

    worker = Worker(definition(Counted), {"_rules_": [{"_match_route_": ["x"], "n": 1}]})
    stream = worker.stream()
    assert stream.request_headers() == 0
    assert stream.request_body(b"x", end=True) == 0
    stream.finish()

    assert made == []
    assert worker.kept() == 0


class OnlyResponses(HttpFilter[Mapping[str, Any]]):
    def on_response_headers(self, response: Response) -> Outcome:
        response.headers["x-n"] = str(self.config["n"])
        return CONTINUE


def test_the_choice_is_made_with_the_request_even_for_a_filter_of_responses() -> None:
    worker = Worker(definition(OnlyResponses), RULES)
    stream = worker.stream()
    worker.host.properties[b"xds\0route_name"] = b"chat"
    stream.request_headers()
    worker.host.properties[b"xds\0route_name"] = b"rerouted"
    stream.response_headers()

    assert worker.host.headers(MapType.RESPONSE_HEADERS)["x-n"] == "1"


def test_a_stream_that_is_only_logged_can_be_chosen_for_too() -> None:
    class OnlyLogs(HttpFilter[Mapping[str, Any]]):
        def on_log(self) -> None:
            self.shared.set("n", str(self.config["n"]).encode())

    worker = Worker(definition(OnlyLogs), RULES)
    worker.stream().finish()

    assert worker.host.shared[b"n"][0] == b"0"
    assert worker.host.errors() == []


def test_the_plugin_id_marks_the_lines_of_the_log() -> None:
    class Fails(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            raise ValueError

    worker = Worker(definition(Fails), {"_plugin_id_": "ns/7"})
    worker.stream().request_headers()

    assert worker.host.errors()[0].startswith("[plugin-under-test ns/7] on_request_headers raised")
