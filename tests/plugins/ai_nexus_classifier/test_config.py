"""Every setting is read, checked and described."""

from pathlib import Path

import pytest
import yaml

import ai_nexus_classifier
from ai_nexus_classifier import Caps, Config, FollowUp, Weights
from ai_nexus_classifier.lexicon import FIELDS
from aigateway.config import ConfigError

FOLDER = Path(ai_nexus_classifier.__file__).parent
SPEC = yaml.safe_load((FOLDER / "spec.yaml").read_text("utf-8"))
SCHEMA = SPEC["spec"]["configSchema"]["openAPIV3Schema"]


def problems(value: object) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        Config.from_json(value)
    return str(raised.value).splitlines()


def leaves(schema: dict[str, object], path: str = "") -> dict[str, dict[str, object]]:
    """Return the settings of a schema that are not objects, by path."""
    properties = schema["properties"]
    assert isinstance(properties, dict)
    found: dict[str, dict[str, object]] = {}
    for name, inner in properties.items():
        if inner["type"] == "object":
            found |= leaves(inner, f"{path}{name}.")
        else:
            found[f"{path}{name}"] = inner
    return found


def nested(path: str, value: object) -> object:
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def setting(config: Config, path: str) -> object:
    value: object = config
    for name in path.split("."):
        value = getattr(value, name)
    return value


def test_nothing_configured_is_the_default() -> None:
    assert Config.from_json({}) == Config()
    assert Config.from_json({}).lexicon is Config().lexicon


def test_the_defaults_are_those_of_the_formula() -> None:
    assert Config().weights == Weights(
        bias=-1.55, words=0.008, questions=0.18, code=0.32, medical=0.26, legal=0.24, instruction=0.34
    )
    assert Config().caps.words == 600
    assert Config().batch_words == 1200
    assert Config().batch_complexity == 0.88


def test_everything_can_be_set() -> None:
    config = Config.from_json(
        {
            "prompt_scope": "conversation",
            "weights": {"bias": -2, "code": 1},
            "caps": {"code": 5},
            "follow_up": {"words": 8, "share": 0.5},
            "batch_words": 500,
            "batch_complexity": 0.5,
            "domain_hits": 2,
            "chance_words": 100,
            "on_invalid": "pass",
            "max_body_bytes": 1000,
            "on_too_large": "pass",
        }
    )

    assert config == Config(
        prompt_scope="conversation",
        weights=Weights(bias=-2, code=1),
        caps=Caps(code=5),
        follow_up=FollowUp(words=8, share=0.5),
        batch_words=500,
        batch_complexity=0.5,
        domain_hits=2,
        chance_words=100,
        on_invalid="pass",
        max_body_bytes=1000,
        on_too_large="pass",
    )


def test_all_problems_are_said_at_once() -> None:
    assert problems(
        {
            "prompt_scope": "last",
            "weights": {"code": "high", "cod": 1},
            "follow_up": {"share": 2},
            "max_body_bytes": 0,
            "terms": {"code": ["ok", "--", 5]},
            "extra_hints": {"legal": "court"},
            "on_invlid": "pass",
        }
    ) == [
        "prompt_scope: expected 'last_user', 'all_user' or 'conversation', got the string 'last', "
        "did you mean 'last_user'?",
        "max_body_bytes: expected a whole number of at least 1, got the number 0",
        "on_invlid: unknown key, did you mean 'on_invalid'?",
        "weights.code: expected a number from -1000 to 1000, got the string 'high'",
        "weights.cod: unknown key, did you mean 'code'?",
        "follow_up.share: expected a number from 0 to 1, got the number 2",
        "terms.code[2]: expected a non-empty string, got the number 5",
        "terms.code: expected terms with a letter or digit, got the string '--'",
        "extra_hints.legal: expected a list of strings, got the string 'court'",
    ]


@pytest.mark.parametrize("value", [[], "x", 5, True])
def test_a_configuration_that_is_no_object_is_refused(value: object) -> None:
    (problem,) = problems(value)
    assert problem.startswith("expected an object, got ")


def test_the_schema_has_every_setting_and_its_default() -> None:
    settings = leaves(SCHEMA)

    for path, schema in settings.items():
        if schema["type"] == "array":
            group, field = path.split(".")
            assert group in {"terms", "hints", "extra_terms", "extra_hints"}
            assert field in FIELDS
        else:
            assert setting(Config(), path) == schema["default"], path
    names = {name for name in Config.__slots__ if name != "lexicon"}
    assert {path.split(".")[0] for path in settings} == names | {
        "terms",
        "hints",
        "extra_terms",
        "extra_hints",
    }


def test_the_schema_allows_what_is_accepted_and_no_more() -> None:
    for path, schema in leaves(SCHEMA).items():
        for bound, outside in (("minimum", -1), ("maximum", 1)):
            if bound not in schema:
                continue
            limit = schema[bound]
            assert isinstance(limit, int | float)
            assert problems(nested(path, limit + outside)), path
            if schema.get("exclusiveMinimum"):
                assert problems(nested(path, limit)), path
            else:
                assert setting(Config.from_json(nested(path, limit)), path) == limit
        options = schema.get("enum", [])
        assert isinstance(options, list)
        for option in options:
            assert setting(Config.from_json(nested(path, option)), path) == option
        if options:
            assert problems(nested(path, "another"))


def test_the_example_is_accepted() -> None:
    assert Config.from_json(SCHEMA["example"]).on_invalid == "pass"


def test_the_readme_names_every_setting_and_the_right_example() -> None:
    readme = (FOLDER / "README.md").read_text("utf-8")
    table = readme.split("## Configuration")[1].split("A configuration that is wrong")[0]

    for path in leaves(SCHEMA):
        group = path.split(".")[0]
        assert f"`{path}`" in table or f"`{group}.*`" in table, path
    example = readme.split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(example) == SCHEMA["example"]


def test_the_readme_has_the_numbers_of_the_default() -> None:
    readme = (FOLDER / "README.md").read_text("utf-8")
    weights = Config().weights

    for name in ("words", "questions", "code", "medical", "legal", "instruction"):
        assert f"{getattr(weights, name)} {name}" in readme
    assert f"`{SPEC['spec']['phase']}`" in readme
    assert f"| Priority | {SPEC['spec']['priority']}:" in readme
