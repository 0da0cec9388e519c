"""The configuration, and what is said of a wrong one."""

import pytest

from ai_budget_guard import Config
from ai_budget_guard.ledger_config import RedisLedger
from ai_budget_guard.limits import DEFAULT_LIMITS
from aigateway.config import ConfigError
from aigateway.models import Prices


def test_nothing_configured_is_a_configuration() -> None:
    assert Config.from_json({}) == Config()
    assert Config().limits == DEFAULT_LIMITS


def test_all_of_it_can_be_configured() -> None:
    config = Config.from_json(
        {
            "role": "announce",
            "consumer_header": "X-User",
            "on_unknown_model": {"input": 5, "output": 9, "cached_input": 1},
            "clamp_output_tokens": 7,
            "refusal_status": 402,
        }
    )

    assert config.consumer_header == "x-user"
    assert config.unknown_model_prices == Prices(input=5, output=9, cached_input=1, cache_write=5)
    assert (config.role, config.clamp_output_tokens, config.refusal_status) == ("announce", 7, 402)


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_json(
            {
                "refusal_status": 500,
                "on_unknown_model": {"input": -1},
                "clamp_output_tokens": 0,
                "reservation_s": 1,
                "consumer_header": "x y",
                "slotz": 3,
                "limits": [{"name": "a"}],
            }
        )

    problems = str(caught.value)
    assert problems.count("\n") == 7
    for line in (
        "refusal_status: expected one of 402, 403, 422, 429, got the number 500",
        "on_unknown_model.input: expected a whole number from 0 to 1000000000, got the number -1",
        "on_unknown_model.output: expected a whole number of nano-USD per token",
        "clamp_output_tokens: expected a whole number from 1 to 1000000000, got the number 0",
        "reservation_s: expected a whole number from 60 to 86400, got the number 1",
        "slotz: unknown key, did you mean 'slots'?",
        "limits[0].limit_usd: expected US dollars",
    ):
        assert line in problems


def test_prices_for_all_others_are_prices_or_nothing() -> None:
    with pytest.raises(ConfigError, match="on_unknown_model: expected 'refuse' or the prices"):
        Config.from_json({"on_unknown_model": "free"})


def test_models_are_found_by_what_providers_call_them() -> None:
    entry = {
        "prices_nano_usd_per_token": {"input": 1, "output": 1},
        "quality": 0.5,
        "context_window_tokens": 9,
        "upstream_name": "same",
    }
    catalog = [entry | {"name": name, "provider": name} for name in ("a", "b")]

    config = Config.from_json({"catalog": catalog})

    assert [model.name for model in config.by_upstream_name["same"]] == ["a", "b"]


def test_the_ledger_is_in_shared_data_or_in_redis() -> None:
    assert Config.from_json({"ledger": {"kind": "embedded"}}).ledger is None
    assert Config.from_json({"ledger": {"kind": "redis", "cluster": "webdis"}}).ledger == RedisLedger(
        cluster="webdis"
    )
    higress = {"kind": "redis", "transport": "higress", "cluster": "outbound|6379||redis", "password": "x"}
    assert Config.from_json({"ledger": higress}).ledger == RedisLedger(
        transport="higress", cluster="outbound|6379||redis", password="x"
    )


def test_what_is_wrong_with_the_ledger_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_json(
            {
                "limits": [{"name": "a", "limit_usd": 9_000_001}, {"name": "b", "limit_usd": 9_000_000}],
                "ledger": {
                    "kind": "redis",
                    "password": "secret",
                    "prefix": "a b",
                    "timeout_s": 0,
                    "lease_percent": 101,
                    "lease_s": 1,
                    "on_redis_away": "panic",
                },
            }
        )

    problems = str(caught.value)
    assert "secret" not in problems
    assert problems.count("\n") == 7
    for line in (
        "limits[0]: expected amounts of at most 9000000 US dollars with a ledger in Redis",
        "ledger.cluster: expected the name of the cluster that Webdis or Redis is in, got nothing",
        "ledger.password: expected none with transport 'webdis'",
        "ledger.prefix: expected at most 64 letters",
        "ledger.timeout_s: expected a number",
        "ledger.lease_percent: expected a number from 0 to 100",
        "ledger.lease_s: expected a whole number from 3 to 3600",
        "ledger.on_redis_away: expected 'local_only'",
    ):
        assert line in problems


def test_what_is_for_redis_alone_is_refused_without_it() -> None:
    with pytest.raises(ConfigError, match=r"ledger.cluster: expected none unless kind is 'redis'"):
        Config.from_json({"ledger": {"cluster": "webdis"}})


def test_of_a_misspelt_kind_only_the_kind_is_wrong() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_json({"ledger": {"kind": "reddis", "cluster": "webdis"}})

    (problem,) = caught.value.problems
    assert str(problem).startswith("ledger.kind: expected 'embedded' or 'redis'")
