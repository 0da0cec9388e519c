"""What the configuration accepts, and how it refuses."""

import doctest
from pathlib import Path
from typing import Any

import pytest
import yaml

import ai_provider_circuit_breaker
from ai_provider_circuit_breaker import Config, Limits, Settings
from ai_provider_circuit_breaker.config import Bounds, Check, Surroundings
from aigateway.config import ConfigError

PLUGIN = Path(__file__).parents[3] / "plugins" / "ai_provider_circuit_breaker"
SCHEMA: dict[str, Any] = yaml.safe_load((PLUGIN / "spec.yaml").read_text())["spec"]["configSchema"][
    "openAPIV3Schema"
]


def problems(value: object) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        Config.from_json(value)
    return [str(problem) for problem in refused.value.problems]


def test_nothing_is_the_default() -> None:
    assert Config.from_json({}) == Config()


def test_everything_can_be_set() -> None:
    config = Config.from_json(
        {
            "scope": "model",
            "open_after": {
                "failures": 5,
                "failure_rate": 0.3,
                "slow_rate": 0.8,
                "window_s": 30,
                "window_requests": 50,
            },
            "shut_for": {
                "open_s": 10,
                "open_limit_s": 100,
                "growth": 3,
                "repeat_s": 60,
                "jitter": 0.2,
                "rate_limit_s": 5,
                "retry_after_limit_s": 90,
                "unauthorized_s": 30,
            },
            "half_open": {"probes": 3, "successes": 4, "probe_expiry_s": 20},
            "slow_call_s": 15,
            "first_token_s": 8,
            "answer_s": 40,
            "credentials": "caller",
            "check": {
                "every_s": 7,
                "timeout_s": 2,
                "requests": [
                    {
                        "provider": "openai",
                        "method": "POST",
                        "path": "/v1/x",
                        "authority": "api.example",
                        "body": "{}",
                    }
                ],
            },
            "on_all_shut": "last_resort",
            "half_life_s": 60,
            "attempts": "upstream",
            "chain": {
                "deadline_s": 20,
                "limit_usd": "0.05",
                "assumed_output_tokens": 900,
                "on_context_exceeded": "stop",
                "on_content_filter": "next",
            },
            "gateway": {
                "path_prefixes": {"google": "/v1beta/openai"},
                "timeout_s": 9,
                "keyed_clusters": ["openai"],
            },
        }
    )

    assert config == Config(
        scope="model",
        breaker=Settings(
            failures=5,
            window_s=30,
            window_requests=50,
            failure_rate=0.3,
            slow_rate=0.8,
            open_s=10,
            open_limit_s=100,
            growth=3,
            repeat_s=60,
            jitter=0.2,
            rate_limit_s=5,
            retry_after_limit_s=90,
            unauthorized_s=30,
            probes=3,
            successes=4,
            probe_expiry_s=20,
            check_s=7,
        ),
        limits=Limits(slow_call_s=15, first_token_s=8, answer_s=40, credentials="caller"),
        checks={"openai": Check(method="POST", path="/v1/x", authority="api.example", body="{}")},
        check_timeout_s=2,
        on_all_shut="last_resort",
        half_life_s=60,
        attempts="upstream",
        bounds=Bounds(
            deadline_s=20,
            limit_nano_usd=50_000_000,
            assumed_output_tokens=900,
            on_context_exceeded="stop",
            on_content_filter="next",
        ),
        surroundings=Surroundings(
            path_prefixes={"google": "/v1beta/openai"}, timeout_s=9, keyed_clusters=frozenset({"openai"})
        ),
    )


def test_everything_wrong_is_said_at_once() -> None:
    assert problems(
        {
            "scop": "model",
            "open_after": {"failures": 0, "failure_rate": 1.5},
            "shut_for": {"open_s": "ten", "open_limit_s": 5},
            "half_open": {"probes": 0},
            "check": {"every_s": -1, "requests": [{"provider": "nobody"}, {"method": "PUT"}]},
            "on_all_shut": "panic",
        }
    ) == [
        "on_all_shut: expected 'refuse' or 'last_resort', got the string 'panic'",
        "scop: unknown key, did you mean 'scope'?",
        "check.every_s: expected a number from 0 to 3600, got the number -1",
        "check.requests[0].provider: expected a provider of the catalog "
        "(anthropic, google, moonshot, openai), got the string 'nobody'",
        "check.requests[1].provider: expected a provider of the catalog "
        "(anthropic, google, moonshot, openai), got nothing",
        "check.requests[1].method: expected 'GET', 'HEAD' or 'POST', got the string 'PUT'",
        "open_after.failures: expected a whole number from 1 to 1000, got the number 0",
        "open_after.failure_rate: expected a number from 0 to 1, got the number 1.5",
        "shut_for.open_s: expected a number from 0.1 to 86400, got the string 'ten'",
        "shut_for.open_limit_s: expected at least open_s, which is 60, got the number 5.0",
        "half_open.probes: expected a whole number from 1 to 100, got the number 0",
    ]


def test_the_catalog_is_read() -> None:
    one = {
        "name": "a",
        "provider": "one",
        "prices_nano_usd_per_token": {"input": 1, "output": 1},
        "quality": 0.5,
        "context_window_tokens": 9,
    }

    assert [target.breaker_key for target in Config.from_json({"catalog": [one]}).directory.all] == [
        "breaker/one"
    ]
    assert problems({"catalog": [one | {"quality": 2}]}) == [
        "catalog[0].quality: expected a number from 0 to 1, got the number 2"
    ]


def defaults(schema: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Collect what the schema says is the default of each key."""
    found: dict[str, Any] = {}
    for key, each in schema["properties"].items():
        if "properties" in each:
            found |= defaults(each, f"{path}{key}.")
        elif "default" in each:
            found[path + key] = each["default"]
    return found


def test_the_schema_has_the_defaults_and_the_keys_of_the_code() -> None:
    said = defaults(SCHEMA)
    nested: dict[str, Any] = {}
    for path, value in said.items():
        table, _, key = path.rpartition(".")
        (nested.setdefault(table, {}) if table else nested)[key] = value

    assert Config.from_json(nested) == Config()
    assert Config.from_json(SCHEMA["example"]) != Config()


def test_the_schema_has_every_key_that_there_is() -> None:
    names = {path.rpartition(".")[2] for path in defaults(SCHEMA)}

    assert names >= set(Settings.__slots__) - {"check_s"}
    assert names >= set(Limits.__slots__)
    assert set(SCHEMA["properties"]) >= {"scope", "on_all_shut", "half_life_s", "catalog", "unpriced"}


@pytest.mark.parametrize("key", list(defaults(SCHEMA)))
def test_the_readme_says_the_default_of(key: str) -> None:
    default = defaults(SCHEMA)[key]
    shown = f"`{default}`" if isinstance(default, str) else str(default)
    rows = [
        line for line in (PLUGIN / "README.md").read_text().splitlines() if line.startswith(f"| `{key}` |")
    ]

    assert [row.split(" | ")[2] for row in rows] == [shown]


def test_the_example_of_the_package_runs() -> None:
    assert doctest.testmod(ai_provider_circuit_breaker).attempted == 4
    assert doctest.testmod(ai_provider_circuit_breaker).failed == 0
