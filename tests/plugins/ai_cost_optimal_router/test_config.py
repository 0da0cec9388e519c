"""Every setting is read, checked and described."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import ai_cost_optimal_router
from ai_cost_optimal_router import Config
from ai_cost_optimal_router.config import Alias, Policy
from ai_cost_optimal_router.strategies import STRATEGIES
from aigateway.catalog import DEFAULT_CATALOG
from aigateway.config import ConfigError

FOLDER = Path(ai_cost_optimal_router.__file__).parent
SPEC = yaml.safe_load((FOLDER / "spec.yaml").read_text("utf-8"))
SCHEMA = SPEC["spec"]["configSchema"]["openAPIV3Schema"]


def problems(value: object) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        Config.from_json(value)
    return str(raised.value).splitlines()


def leaves(schema: dict[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    """Return the settings of a schema that are not objects with known keys, by path."""
    found: dict[str, dict[str, Any]] = {}
    for name, inner in schema["properties"].items():
        if inner.get("type") == "object" and "properties" in inner:
            found |= leaves(inner, f"{path}{name}.")
        else:
            found[f"{path}{name}"] = inner
    return found


LEAVES = leaves(SCHEMA)
PLACES = {
    "knowledge.breaker_refresh_s": "knowledge.breaker_s",
    "knowledge.latency_refresh_s": "knowledge.latency_s",
    **{f"bandit.{name}": f"strategies.bandit.terms.{name}" for name in ("cost_weight", "prior_mass", "arms")},
}
"""Where a setting is kept that is called otherwise, or elsewhere."""


def setting(config: Config, path: str) -> object:
    path = PLACES.get(path, path)
    if path.partition(".")[0] in STRATEGIES:
        path = f"strategies.{path}"
    value: Any = config
    for name in path.split("."):
        value = value[name] if isinstance(value, dict) else getattr(value, name)
    return list(value) if isinstance(value, tuple) else value


def nested(path: str, value: object) -> object:
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def test_nothing_configured_is_the_default() -> None:
    assert Config.from_json({}) == Config()
    assert Config().catalog is DEFAULT_CATALOG
    assert Config().quality_floor == 0.72


@pytest.mark.parametrize(
    "path", [path for path, schema in LEAVES.items() if "default" in schema and path != "unpriced"]
)
def test_the_schema_has_the_defaults_of_the_code(path: str) -> None:
    assert LEAVES[path]["default"] == setting(Config(), path)


@pytest.mark.parametrize("path", LEAVES)
def test_the_code_refuses_what_the_schema_does(path: str) -> None:
    schema = LEAVES[path]
    for bad in [{"no": "such"}, *([schema["minimum"] - 1] if "minimum" in schema else [])]:
        if schema.get("type") != "object":
            assert any(problem.startswith(path) for problem in problems(nested(path, bad))), bad
    if "maximum" in schema:
        assert problems(nested(path, schema["maximum"] * 10 + 1))
        assert not isinstance(Config.from_json(nested(path, schema["maximum"])), str)
    if "enum" in schema:
        for word in schema["enum"]:
            if path != "strategy":
                Config.from_json(nested(path, word))


def test_the_schema_knows_every_key_that_the_code_reads() -> None:
    unknown = problems({name + "x": 1 for name in SCHEMA["properties"]})

    assert len(unknown) == len(SCHEMA["properties"])
    for problem in unknown:
        assert "did you mean" in problem


def test_the_schema_lists_the_strategies() -> None:
    assert set(LEAVES["strategy"]["enum"]) == set(STRATEGIES)
    orders = {name for name, kind in STRATEGIES.items() if kind.ranks_by is not None}
    assert set(LEAVES["tiered.within"]["enum"]) == orders


def test_the_example_of_the_description_is_valid() -> None:
    config = Config.from_json(SPEC["spec"]["configSchema"]["openAPIV3Schema"]["example"])

    assert config.quality_floor == 0.8
    assert config.aliases["fast"] == Alias(models=("gpt-4.1-mini", "claude-haiku"), strategy="latency_aware")
    assert config.consumers["clinic"] == Policy(allow=("claude-sonnet", "gpt-5.5"), regions=frozenset({"eu"}))


def test_what_a_consumer_does_not_say_is_as_for_everyone() -> None:
    config = Config.from_json(
        {
            "deny": ["kimi"],
            "regions": ["eu"],
            "max_cost_usd": 0.5,
            "consumers": {"a": {}, "b": {"deny": [], "max_cost_usd": 0.000000001}},
        }
    )

    assert config.consumers["a"] == config.policy
    assert config.consumers["b"] == Policy(regions=frozenset({"eu"}), max_cost_nano_usd=1)


def test_a_region_without_models_and_an_alias_that_is_never_looked_up_are_refused() -> None:
    assert problems({"regions": ["eu", "mars"], "aliases": {"auto": "kimi"}}) == [
        "regions[1]: expected a region of the catalog: asia, eu, us, got the string 'mars'",
        "aliases.auto: expected another name: this one is among auto_models, got the string 'kimi'",
    ]


ALTERNATIVES = f"{', '.join(map(repr, [*STRATEGIES][:-1]))} or 'ab'"


def test_all_problems_are_said_at_once() -> None:
    assert problems(
        {
            "catalog": [{"name": "m", "provider": "p", "quality": 2, "context_window_tokens": 5}],
            "strategy": "cheapest",
            "allowed_strategies": ["cost_optimal", "fast"],
            "quality_floor": 72,
            "quality_floors": {"cod": 1},
            "allow": ["gpt-9*"],
            "max_cost_usd": 0,
            "consumers": {"a": {"quality_flor": 1, "max_cost_usd": 0.0000000001}, "b": 3},
            "aliases": {"x": "nothing", "y": [], "z": {"models": ["kimi"], "strategy": "none"}, "n": 5},
            "expected_output_tokens": {"code": 0},
            "rule_based": {
                "rules": [{"when": {"needs": ["sight"], "complexity_at_most": 2}, "models": ["q"]}]
            },
            "tiered": {
                "tiers": [
                    {"name": "a", "up_to_usd_per_million_tokens": 5, "complexity_below": 0.5},
                    {"name": "b", "up_to_usd_per_million_tokens": 4, "complexity_below": 0.4},
                    {"name": "c"},
                ]
            },
            "ab": {"arms": [{"name": "a"}, {"name": "a", "strategy": "tiered", "models": ["kimi"]}]},
            "balanced": {"weights": {"quality": 0, "cost": 0, "latency": 0}},
            "cost_optimal": {"floor": 1},
        }
    ) == [
        "allow[0]: expected a model of the catalog, got the string 'gpt-9*'",
        "max_cost_usd: expected a number above 0, got the number 0",
        "strategy: expected @, got the string 'cheapest'".replace("@", ALTERNATIVES),
        "allowed_strategies[1]: expected one of @, got the string 'fast'".replace("@", ", ".join(STRATEGIES)),
        "quality_floor: expected a number from 0 to 1, got the number 72",
        "catalog[0].prices_nano_usd_per_token: expected the prices {input, output} of 'm', or "
        "`unpriced` beside the list, got nothing",
        "catalog[0].quality: expected a number from 0 to 1, got the number 2",
        "cost_optimal.floor: unknown key",
        "balanced.weights: expected a weight above 0, got the number 0",
        "rule_based.rules[0].name: expected a name of at most 40 letters, digits and ._-, got nothing",
        "rule_based.rules[0].models[0]: expected a model of the catalog, got the string 'q'",
        "rule_based.rules[0].when.needs[0]: expected one of vision, audio, tools, json, stream, got "
        "the string 'sight'",
        "rule_based.rules[0].when.complexity_at_most: expected a number from 0 to 1, got the number 2",
        "tiered.tiers[1]: expected a higher price than the tier before, got the string 'b'",
        "tiered.tiers[1]: expected more complexity than the tier before, got the string 'b'",
        "ab.arms[1].name: expected a name of its own, got the string 'a'",
        "ab.arms[0].strategy: expected a strategy, or `models`, got nothing",
        "ab.arms[1].models[0]: expected a model of the catalog, got the string 'kimi'",
        "ab.arms[1].strategy: expected a strategy with an order, because `models` are given, got "
        "the string 'tiered'",
        "quality_floors.cod: unknown key, did you mean 'code'?",
        "consumers.a.max_cost_usd: expected an amount in US dollars above 0 with at most 9 "
        "decimals, got the number 1e-10",
        "consumers.a.quality_flor: unknown key, did you mean 'quality_floor'?",
        "consumers.b: expected an object, got the number 3",
        "aliases.x: expected a model of the catalog, got the string 'nothing'",
        "aliases.y: expected a model, a list of models, or {models, strategy}, got an empty array",
        "aliases.n: expected a list of strings, got the number 5",
        "aliases.z.models[0]: expected a model of the catalog, got the string 'kimi'",
        "aliases.z.strategy: expected @, got the string 'none'".replace("@", ALTERNATIVES),
        "expected_output_tokens.code: expected a whole number from 1 to 1000000000, got the number 0",
    ]
