from pathlib import Path

import pytest

from nexus.description import Key, Route, Service, Tls, faked
from nexus.gateway_file import read_gateway
from nexus.reading import DescriptionError

SMALLEST = """
listeners: [{port: 10000}]
default_provider: openai
providers: [{name: openai, host: 127.0.0.1, port: 10100}]
"""


def write(directory: Path, text: str) -> Path:
    path = directory / "gateway.yaml"
    path.write_text(text)
    return path


def problems_of(directory: Path, text: str) -> list[str]:
    with pytest.raises(DescriptionError) as caught:
        read_gateway(write(directory, text))
    return list(caught.value.problems)


def test_a_default_provider_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert problems_of(
        tmp_path, SMALLEST.replace("default_provider: openai", "default_provider: google")
    ) == ["gateway.yaml: default_provider: expected one of openai, got the string 'google'"]


def test_the_smallest_description_has_sensible_defaults(tmp_path: Path) -> None:
    gateway = read_gateway(write(tmp_path, SMALLEST))

    assert gateway.listeners[0].address == "127.0.0.1"
    assert (gateway.admin.address, gateway.admin.port) == ("127.0.0.1", 9901)
    assert gateway.limits.body_bytes == 32 * 1024 * 1024
    assert gateway.timeouts.response_s == 0
    assert gateway.access_log == "none"
    assert gateway.plugins == tmp_path / "plugins"


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    gateway = read_gateway(write(tmp_path, SMALLEST + "module: m.wasm\nplugins: ../p\n"))

    assert gateway.module == tmp_path / "m.wasm"
    assert gateway.plugins == tmp_path.parent / "p"


def test_a_real_provider_speaks_tls_on_443_under_its_own_name(tmp_path: Path) -> None:
    text = SMALLEST.replace("port: 10100", "tls: {}, path_prefix: /v1beta/openai, key_env: KEY").replace(
        "127.0.0.1", "api.example.com"
    )

    [provider] = read_gateway(write(tmp_path, text)).providers

    assert provider.port == 443
    assert provider.tls is not None
    assert provider.tls.sni == "api.example.com"
    assert (provider.path_prefix, provider.key) == ("/v1beta/openai", Key(variable="KEY"))


def test_everything_wrong_is_named_at_once(tmp_path: Path) -> None:
    text = """
listeners: [{port: 99999, adress: 127.0.0.1}]
default_provider: openai
providers:
- {name: Open AI, host: "", port: ten}
- {name: google, host: 10.0.0.1, tls: {}, key_env: a-b}
timeouts: {idle_s: -1}
limits: {body_bytes: 1}
acess_log: stdout
admin: {address: localhost}
"""

    assert sorted(problems_of(tmp_path, text)) == [
        "gateway.yaml: acess_log: unknown key, did you mean 'access_log'?",
        "gateway.yaml: admin.address: expected an IP address, got the string 'localhost'",
        "gateway.yaml: limits.body_bytes: expected a whole number from 1024 to 1073741824, got the number 1",
        "gateway.yaml: listeners[0].adress: unknown key, did you mean 'address'?",
        "gateway.yaml: listeners[0].port: expected a whole number from 1 to 65535, got the number 99999",
        "gateway.yaml: providers[0].host: expected an IP address or a host name, got an empty string",
        "gateway.yaml: providers[0].name: expected a name of lower-case letters, digits, '-', '_' and '.', "
        "got the string 'Open AI'",
        "gateway.yaml: providers[0].port: expected a whole number from 1 to 65535, got the string 'ten'",
        "gateway.yaml: providers[1].key_env: expected the name of an environment variable, in upper case, "
        "got the string 'a-b'",
        "gateway.yaml: providers[1].tls.sni: expected a host name, got nothing",
        "gateway.yaml: timeouts.idle_s: expected a number from 0 to 86400, got the number -1",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "gateway.yaml: expected an object, got nothing"),
        ("[1]", "gateway.yaml: expected an object, got an array"),
        ("a: [", "gateway.yaml: line 1, column 5: not valid YAML, expected the node content"),
        ("a: 1\nb: 2\na: 3\n", "gateway.yaml: line 3, column 1: not valid YAML, the key a is there twice"),
        (
            "providers: []",
            "gateway.yaml: providers: expected a list with at least one entry, got an empty array",
        ),
        ("providers: [~]", "gateway.yaml: providers[0]: expected an object, got nothing"),
        ("{}", "gateway.yaml: listeners: expected a list with at least one entry, got nothing"),
    ],
)
def test_what_is_no_description_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert any(line.startswith(problem) for line in problems_of(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DescriptionError, match=r"missing\.yaml cannot be read: No such file"):
        read_gateway(tmp_path / "missing.yaml")


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_bytes(b"a: \xff")

    with pytest.raises(DescriptionError, match="expected UTF-8"):
        read_gateway(path)


def test_names_and_ports_are_given_once(tmp_path: Path) -> None:
    text = """
listeners: [{port: 9901}, {name: b, port: 10000}, {name: b, port: 10000}]
default_provider: openai
providers:
- {name: openai, host: 127.0.0.1, port: 1}
- {name: openai, host: 127.0.0.1, port: 2}
"""

    assert problems_of(tmp_path, text) == [
        "gateway.yaml: listeners[2].name: 'b' is the name of an earlier entry too",
        "gateway.yaml: providers[1].name: 'openai' is the name of an earlier entry too",
        "gateway.yaml: listeners[0].port: 9901 is the port of admin too",
        "gateway.yaml: listeners[2].port: 10000 is the port of listeners[1] too",
    ]


def test_faking_keeps_the_names_and_drops_what_reaches_a_real_provider(tmp_path: Path) -> None:
    text = SMALLEST.replace(
        "host: 127.0.0.1, port: 10100", "host: api.example.com, tls: {}, path_prefix: /x, key_env: KEY"
    )

    [provider] = faked(read_gateway(write(tmp_path, text)), "127.0.0.1", 20000).providers

    assert (provider.name, provider.host, provider.port) == ("openai", "127.0.0.1", 20000)
    assert (provider.tls, provider.path_prefix, provider.key) == (None, "/v1", None)


def test_the_description_of_this_repository_is_right() -> None:
    root = Path(__file__).parents[2]

    gateway = read_gateway(root / "envoy" / "gateway.yaml")

    assert [provider.name for provider in gateway.providers] == ["openai", "anthropic", "google", "moonshot"]
    assert [provider.port for provider in gateway.providers] == [10100, 10101, 10102, 10103]
    assert gateway.module == root / "build" / "ai-nexus.wasm"


class TestServices:
    def test_they_have_what_is_given(self, tmp_path: Path) -> None:
        text = (
            SMALLEST
            + """
services:
- {name: webdis, host: 10.0.0.9, port: 7379}
- {name: far, host: webdis.example.com, tls: {}}
"""
        )

        near, far = read_gateway(write(tmp_path, text)).services

        assert near == Service(name="webdis", host="10.0.0.9", port=7379)
        assert (far.port, far.tls) == (
            443,
            Tls(sni="webdis.example.com", ca_file="/etc/ssl/certs/ca-certificates.crt"),
        )

    def test_everything_wrong_is_named_at_once(self, tmp_path: Path) -> None:
        text = (
            SMALLEST
            + """
services:
- {name: webdis, host: 10.0.0.9}
- {name: webdis, host: 10.0.0.9, port: 1, path_prefix: /x}
- {name: openai, host: 10.0.0.9, port: 1}
"""
        )

        assert sorted(problems_of(tmp_path, text)) == [
            "gateway.yaml: services[0].port: expected a whole number from 1 to 65535, got nothing",
            "gateway.yaml: services[1].name: 'webdis' is the name of an earlier entry too",
            "gateway.yaml: services[1].path_prefix: unknown key",
            "gateway.yaml: services[2].name: 'openai' is the name of a provider too",
        ]

    def test_they_stay_when_providers_are_faked(self, tmp_path: Path) -> None:
        text = SMALLEST + "services: [{name: webdis, host: 10.0.0.9, port: 7379}]"
        gateway = read_gateway(write(tmp_path, text))

        assert faked(gateway, "127.0.0.1", 20000).services == gateway.services


class TestRoutes:
    def test_without_any_there_is_one_for_everything(self, tmp_path: Path) -> None:
        assert read_gateway(write(tmp_path, SMALLEST)).routes == (Route(name="default"),)

    def test_they_have_what_is_given(self, tmp_path: Path) -> None:
        text = (
            SMALLEST
            + """
routes:
- name: team/chat.v2
  path_prefix: /v1/chat
  domains: [llm.example.com, "*.llm.example.com"]
  provider: openai
  timeouts: {idle_s: 7, response_s: 0}
- {name: rest}
"""
        )
        chat, rest = read_gateway(write(tmp_path, text)).routes

        assert chat == Route(
            name="team/chat.v2",
            path_prefix="/v1/chat",
            domains=("llm.example.com", "*.llm.example.com"),
            provider="openai",
            idle_s=7,
            response_s=0,
        )
        assert rest == Route(name="rest")

    def test_everything_wrong_is_named_at_once(self, tmp_path: Path) -> None:
        text = (
            SMALLEST
            + """
routes:
- {name: "a b", path_prefix: v1/, provider: openay}
- {name: x, domains: [Example.com, "a.*", "example.com:80"], timeouts: {idle: 1, response_s: -1}}
- {name: x, domains: [a.b]}
"""
        )
        domain = "expected a host name in lower case and without port, or '*.' and the end of one"

        assert sorted(problems_of(tmp_path, text)) == sorted(
            [
                "gateway.yaml: routes[2].name: 'x' is the name of an earlier entry too",
                "gateway.yaml: routes[0].provider: expected one of openai, got the string 'openay'",
                "gateway.yaml: routes[0].path_prefix: expected '/', or a path as '/v1', with no '/' "
                "at its end, got the string 'v1/'",
                "gateway.yaml: routes[0].name: expected a name of letters, digits, '-', '_', '.' and '/', "
                "got the string 'a b'",
                f"gateway.yaml: routes[1].domains[0]: {domain}, got the string 'Example.com'",
                f"gateway.yaml: routes[1].domains[1]: {domain}, got the string 'a.*'",
                f"gateway.yaml: routes[1].domains[2]: {domain}, got the string 'example.com:80'",
                "gateway.yaml: routes[1].timeouts.response_s: expected a number from 0 to 86400, "
                "got the number -1",
                "gateway.yaml: routes[1].timeouts.idle: unknown key, did you mean 'idle_s'?",
            ]
        )

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("{name: a}", "{name: b, path_prefix: /v1}"),
            ("{name: a, path_prefix: /v1}", "{name: b, path_prefix: /v1}"),
            ("{name: a, path_prefix: /v1}", "{name: b, path_prefix: /v1/chat, domains: [x.y]}"),
            ("{name: a, domains: ['*.x.y', z.z]}", "{name: b, domains: ['*.a.x.y', b.x.y, z.z]}"),
        ],
    )
    def test_one_that_no_request_gets_to_is_refused(self, tmp_path: Path, first: str, second: str) -> None:
        text = SMALLEST + f"routes:\n- {first}\n- {second}\n"

        assert problems_of(tmp_path, text) == [
            "gateway.yaml: routes[1]: no request gets here: the route 'a' before it takes them all"
        ]

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("{name: a, path_prefix: /v1}", "{name: b}"),
            ("{name: a, path_prefix: /v1}", "{name: b, path_prefix: /v10}"),
            ("{name: a, domains: [x.y]}", "{name: b}"),
            ("{name: a, domains: [x.y]}", "{name: b, domains: ['*.x.y']}"),
            ("{name: a, domains: ['*.x.y']}", "{name: b, domains: [x.y, a.x.y]}"),
        ],
    )
    def test_one_for_more_may_come_after_one_for_less(self, tmp_path: Path, first: str, second: str) -> None:
        text = SMALLEST + f"routes:\n- {first}\n- {second}\n"

        assert len(read_gateway(write(tmp_path, text)).routes) == 2


class TestKeys:
    def test_a_file_is_relative_to_the_description_and_its_links_are_kept(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        text = SMALLEST.replace("port: 10100", "port: 1, key_file: link/../link/key")

        [provider] = read_gateway(write(tmp_path, text)).providers

        assert provider.key == Key(file=tmp_path / "link" / "key")

    def test_there_is_one_of_a_variable_and_a_file(self, tmp_path: Path) -> None:
        text = SMALLEST.replace("port: 10100", "port: 1, key_env: A, key_file: b")

        assert problems_of(tmp_path, text) == [
            "gateway.yaml: providers[0].key_file: expected nothing beside key_env: a provider has one key"
        ]

    @pytest.mark.parametrize("name", ["key", "api_key", "token", "authorization"])
    def test_one_in_the_file_is_refused_without_repeating_it(self, tmp_path: Path, name: str) -> None:
        text = SMALLEST.replace("port: 10100", f"port: 1, {name}: hunter2")

        assert problems_of(tmp_path, text) == [
            f"gateway.yaml: providers[0].{name}: a key does not belong into this file: "
            "name the variable that holds it under key_env, or its file under key_file"
        ]

    @pytest.mark.parametrize(
        "key",
        [
            "sk-proj-Zm9vYmFyYmF6cXV4MTIzNDU2",
            "sk-ant-api03-Zm9vYmFyYmF6cXV4MTIz",
            "AIzaSyD-0123456789abcdefghijklmnopqrstu",
            "gsk_0123456789abcdefghij",
            "Bearer sk-0123456789abcdefghij",
            "eyJhbGciOiJIUzI1NiJ9AAAA.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        ],
    )
    @pytest.mark.parametrize("where", ["key_env", "name", "path_prefix", "host"])
    def test_whatever_looks_like_one_is_refused_without_repeating_it(
        self, tmp_path: Path, key: str, where: str
    ) -> None:
        text = SMALLEST.replace("port: 10100", f"port: 1, {where}: '{key}'").replace(
            f"{where}: openai, " if where == "name" else f"{where}: 127.0.0.1, ", ""
        )

        [problem] = problems_of(tmp_path, text)

        assert problem.startswith(f"gateway.yaml: providers[0].{where}: this looks like a key")
        assert key not in problem

    @pytest.mark.parametrize("text", ["sk-learn", "sk-based-text-classification", "gpt-4.1-mini", "eyesight"])
    def test_names_are_no_keys(self, tmp_path: Path, text: str) -> None:
        path = write(tmp_path, SMALLEST.replace("host: 127.0.0.1", f"host: {text}.example.com"))

        assert read_gateway(path)
