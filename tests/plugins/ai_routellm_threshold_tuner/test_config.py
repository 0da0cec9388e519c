"""What the configuration accepts, and how it refuses."""

import doctest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import ai_routellm_threshold_tuner
from ai_routellm_threshold_tuner import Config, TuningLimits
from ai_routellm_threshold_tuner.calibration import Calibration
from ai_routellm_threshold_tuner.targets import CostTarget, FractionTarget, SavingTarget
from aigateway.config import ConfigError
from aigateway.models import Prices

ROOT = Path(__file__).parents[3]
PLUGIN = ROOT / "plugins" / "ai_routellm_threshold_tuner"
SPEC: dict[str, Any] = yaml.safe_load((PLUGIN / "spec.yaml").read_text())
SCHEMA: dict[str, Any] = SPEC["spec"]["configSchema"]["openAPIV3Schema"]
README = (PLUGIN / "README.md").read_text()

PRICED = [
    {"name": "strong", "prices_nano_usd_per_token": {"input": 1000, "output": 2000}},
    {"name": "weak", "prices_nano_usd_per_token": {"input": 10, "output": 20}},
]


def problems(value: object) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        Config.from_json(value)
    return [str(problem) for problem in refused.value.problems]


def test_the_default() -> None:
    config = Config.from_json({})
    [(name, pair)] = config.pairs.items()
    threshold = config.thresholds[name]

    assert [tier.name for tier in pair.tiers] == ["strong", "weak"]
    assert (threshold.mode, threshold.target, threshold.limits) == (
        "online",
        FractionTarget((0.3,)),
        TuningLimits(),
    )
    assert config.chosen == {"default": "complexity"}


def test_prices_and_qualities_come_from_the_catalog() -> None:
    """Of a tier without a model, the cheapest that is called so: the router would choose it."""

    def model(name: str, price: int, tier: str) -> dict[str, object]:
        return {
            "name": name,
            "provider": "us",
            "upstream_name": f"{name}-v1",
            "prices_nano_usd_per_token": {"input": price, "output": price},
            "quality": price / 1000,
            "context_window_tokens": 1000,
            "tier": tier,
        }

    catalog = [model("a", 900, "strong"), model("b", 700, "strong"), model("c", 10, "weak")]
    (pair,) = Config.from_json({"catalog": catalog}).pairs.values()
    named = Config.from_json({"catalog": catalog, "tiers": [{"name": "x", "model": "a"}, {"name": "weak"}]})
    (strong, weak) = named.pairs["default"].tiers

    assert [tier.quality for tier in pair.tiers] == [0.7, 0.01]
    assert pair.costs(2, 3) == (3500, 50)
    assert (strong.quality, strong.entry is None, weak.entry) == (0.9, False, None)


def test_what_a_tier_says_of_itself_counts_more() -> None:
    tiers = [
        {
            "name": "strong",
            "model": "gpt-5.5",
            "quality": 0.5,
            "prices_nano_usd_per_token": {"input": 1, "output": 2},
        },
        {"name": "weak", "model": "nobody-knows"},
    ]
    (strong, weak) = Config.from_json({"tiers": tiers}).pairs["default"].tiers

    assert strong.prices == Prices(input=1, output=2, cached_input=1, cache_write=1)
    assert strong.quality == 0.5
    assert (weak.prices, weak.quality) == (None, None)


@pytest.mark.parametrize(
    ("threshold", "target"),
    [
        ({"target_strong_fraction": 0.2}, FractionTarget((0.2,))),
        ({"target_strong_fraction": 0}, FractionTarget((0.0,))),
        ({"target_cost_per_request_usd": 0.0005}, CostTarget(500_000)),
        ({"target_cost_per_request_usd": "0.000000001"}, CostTarget(1)),
        ({"target_saving": 0.5}, SavingTarget(0.5)),
    ],
)
def test_targets(threshold: dict[str, object], target: object) -> None:
    config = Config.from_json({"tiers": PRICED, "threshold": threshold})

    assert config.thresholds["default"].target == target


def test_the_target_has_a_fingerprint() -> None:
    def fingerprint(**threshold: object) -> bytes:
        return Config.from_json({"tiers": PRICED, "threshold": threshold}).thresholds["default"].fingerprint

    assert fingerprint(target_saving=0.5) == fingerprint(target_saving=0.5, min_samples=9)
    assert fingerprint(target_saving=0.5) != fingerprint(target_saving=0.6)
    assert fingerprint(target_saving=0.5) != fingerprint(target_strong_fraction=0.5)


CALIBRATION = {
    "scorer": "words",
    "points": [
        {"strong_fraction": 0.1, "threshold": 0.8, "quality": 0.6},
        {"strong_fraction": 0.3, "threshold": 0.4, "quality": 0.8},
    ],
}


@pytest.mark.parametrize(
    ("threshold", "given"),
    [
        ({"mode": "fixed", "value": 0.7}, (0.7,)),
        ({"mode": "fixed", "calibration": CALIBRATION, "target_strong_fraction": 0.2}, (0.6,)),
        ({"mode": "online", "calibration": CALIBRATION, "target_strong_fraction": 0.05}, (0.8,)),
        ({"mode": "online", "calibration": CALIBRATION, "value": 0.5}, (0.5,)),
        ({"mode": "online", "target_strong_fraction": 0.05}, ()),
    ],
)
def test_given_thresholds(threshold: dict[str, object], given: tuple[float, ...]) -> None:
    config = Config.from_json({"scorer": "words", "threshold": threshold})

    assert config.thresholds["default"].given == pytest.approx(given)


def test_a_calibration_says_what_quality_a_share_has() -> None:
    threshold = Config.from_json({"scorer": "words", "threshold": {"calibration": CALIBRATION}})
    calibration = threshold.thresholds["default"].calibration

    assert isinstance(calibration, Calibration)
    assert calibration.quality(0.2) == pytest.approx(0.7)


def test_pairs_have_thresholds_and_scorers_of_their_own_or_those_above() -> None:
    config = Config.from_json(
        {
            "scorer": "words",
            "threshold": {"target_strong_fraction": 0.1},
            "pairs": [
                {"name": "one"},
                {"name": "two", "scorer": "complexity", "threshold": {"mode": "fixed", "value": 0.5}},
            ],
        }
    )

    assert config.chosen == {"one": "words", "two": "complexity"}
    assert config.thresholds["one"].target == FractionTarget((0.1,))
    assert config.thresholds["two"].given == (0.5,)
    assert next(iter(config.pairs)) == "one"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            {"scorer": "wrds", "threshold": {"mode": "onlin", "target_saving": 2}, "prompt_scop": 1},
            [
                "scorer: expected one of complexity, words, got the string 'wrds'",
                "prompt_scop: unknown key, did you mean 'prompt_scope'?",
                "threshold.mode: expected 'fixed', 'online', 'frozen' or 'shadow', got the string 'onlin', "
                "did you mean 'online'?",
                "threshold.target_saving: expected a number from 0 to 1, got the number 2",
            ],
        ),
        (
            {"threshold": {"mode": "fixed"}},
            [
                "threshold.value: expected a threshold, or thresholds of all tiers, for the mode 'fixed', "
                "got nothing"
            ],
        ),
        (
            {"threshold": {"target_saving": 0.2, "target_strong_fraction": 0.1}},
            ["threshold.target_strong_fraction: expected to be the only target, got the number 2"],
        ),
        (
            {"threshold": {"min_samples": 600}},
            ["threshold.min_samples: expected at most 512, as the window has, got the number 600"],
        ),
        (
            {"tiers": [{"name": "a"}, {"name": "b"}], "threshold": {"target_saving": 0.5}},
            ["tiers: expected prices of both, to hold an amount of money, got nothing"],
        ),
        (
            {"tiers": PRICED[::-1], "threshold": {"target_saving": 0.5}},
            ["tiers: expected a strong tier that costs more than the weak one, got the string 'another'"],
        ),
        ({"tiers": [{"name": "a"}]}, ["tiers: expected 2 to 16 tiers, strongest first, got the number 1"]),
        (
            {"tiers": [{"name": "a", "fraction": 0.6}, {"name": "b"}, {"name": "c", "fraction": 0.1}]},
            [
                "tiers[1].fraction: expected a number from 0 to 1, as another tier has one, got nothing",
                "tiers[2].fraction: expected nothing: the last tier takes what is left, got the number 0.1",
            ],
        ),
        (
            {"tiers": [{"name": "a", "fraction": 0.6}, {"name": "b", "fraction": 0.6}, {"name": "c"}]},
            ["tiers: expected fractions of 1 together at most, got the number 1.2"],
        ),
        (
            {"tiers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]},
            ["tiers: expected a fraction of each tier but the last, got nothing"],
        ),
        (
            {
                "tiers": [{"name": "a", "threshold": 0.2}, {"name": "b", "threshold": 0.6}, {"name": "c"}],
                "threshold": {"mode": "fixed"},
            },
            ["tiers: expected thresholds that fall from the strongest tier on, got the string 'others'"],
        ),
        (
            {"tiers": [{"name": "a", "fraction": 0.2}, {"name": "b"}], "threshold": {"target_saving": 0.2}},
            [
                "threshold.target_strong_fraction: expected nothing, for the tiers have fractions, "
                "got the string 'a target'"
            ],
        ),
        (
            {"hand_over": "model"},
            [
                "hand_over: expected 'tier', for the tier 'strong' has no model, got the string 'model'",
                "hand_over: expected 'tier', for the tier 'weak' has no model, got the string 'model'",
            ],
        ),
        (
            {"tiers": [{"name": "a b"}, {"name": "weak", "prices_nano_usd_per_token": {"input": 1}}]},
            [
                "tiers[0].name: expected a name of its own, of at most 40 letters, digits and underscores, "
                "got the string 'a b'",
                "tiers[1].prices_nano_usd_per_token: expected the prices of input and output, "
                "got the string 'one of them'",
            ],
        ),
        (
            {"scorer": "complexity", "threshold": {"calibration": CALIBRATION}},
            [
                "threshold.calibration.scorer: expected 'complexity', the scorer of the pair, "
                "got the string 'words'"
            ],
        ),
        (
            {"threshold": {"calibration": {"points": CALIBRATION["points"][::-1]}}},
            [
                "threshold.calibration.points[1].strong_fraction: expected more than 0.3, "
                "that of the point before, got the number 0.1",
            ],
        ),
        (
            {"threshold": {"calibration": {"points": [{"threshold": 0.1}]}}},
            [
                "threshold.calibration.points[0].strong_fraction: expected a number from 0 to 1, got nothing",
            ],
        ),
        (
            {"pairs": [{"name": "a"}, {"name": "a"}]},
            [
                "pairs[1].name: expected a name of its own, of at most 40 letters, digits and underscores, "
                "got the string 'a'"
            ],
        ),
        ({"pairs": 5}, ["pairs: expected a list of objects, got the number 5"]),
        ([], ["expected an object, got an empty array"]),
    ],
)
def test_all_that_is_wrong_is_said(value: object, expected: list[str]) -> None:
    assert problems(value) == expected


def leaves(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the settings at the top and in `threshold`."""
    for name, part in schema["properties"].items():
        inside = f"{path}{name}"
        if inside == "threshold":
            yield from leaves(part, "threshold.")
        else:
            yield inside, part


def test_the_schema_has_the_defaults() -> None:
    config = Config.from_json({})
    threshold = config.thresholds["default"]
    values = {
        "scorer": config.chosen["default"],
        "auto_models": list(config.vocabulary.automatic),
        "threshold.mode": threshold.mode,
        "threshold.scope": threshold.scope,
        "threshold.target_strong_fraction": 0.3,
        **{f"threshold.{name}": getattr(threshold.limits, name) for name in TuningLimits.__slots__},
    }
    for path, schema in leaves(SCHEMA):
        if "default" in schema:
            value = values[path] if path in values else getattr(config, path)
            assert schema["default"] == value, path
            values.pop(path, None)
    assert not values


def test_the_schema_allows_what_is_accepted_and_no_more() -> None:
    for path, schema in leaves(SCHEMA):
        for bound, outside in (("minimum", -1), ("maximum", 1)):
            if bound in schema:
                *above, name = path.split(".")
                setting = {name: schema[bound] + outside}
                assert problems({above[0]: setting} if above else setting), path
        for option in schema.get("enum", ()):
            if path == "hand_over" or option in ("fixed", "shadow"):
                continue
            *above, name = path.split(".")
            Config.from_json({above[0]: {name: option}} if above else {name: option})


def test_the_example_is_accepted() -> None:
    assert Config.from_json(SCHEMA["example"]).chosen == {"default": "both"}


def test_the_deployment_is_accepted() -> None:
    path = ROOT / "envoy" / "plugins" / "ai-routellm-threshold-tuner.yaml"
    config = yaml.safe_load(path.read_text())["spec"]["defaultConfig"]

    assert Config.from_json(config).vocabulary.automatic == ()


def test_the_readme_names_every_setting_and_the_right_example() -> None:
    table = README.split("## Configuration")[1]
    for path, _ in leaves(SCHEMA):
        assert f"`{path}`" in table, path
    example = README.split("```yaml\n")[1].split("```")[0]

    assert yaml.safe_load(example) == SCHEMA["example"]
    assert f"| Phase | `{SPEC['spec']['phase']}` |" in README
    assert f"| Priority | {SPEC['spec']['priority']}:" in README


def test_the_readme_names_every_type_of_scorer() -> None:
    kinds = SCHEMA["properties"]["scorers"]["items"]["properties"]["type"]["enum"]

    for kind in kinds:
        assert f"| `{kind}` |" in README


def test_the_example_of_the_library_is_right() -> None:
    assert doctest.testmod(ai_routellm_threshold_tuner).failed == 0
