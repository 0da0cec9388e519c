from pathlib import Path

import pytest

from nexus.description import Key, faked
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
