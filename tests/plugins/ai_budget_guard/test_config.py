"""The configuration, and what is said of a wrong one."""

import pytest

from ai_budget_guard import Config
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
