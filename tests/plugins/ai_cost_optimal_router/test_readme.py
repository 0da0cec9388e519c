"""What the README shows works, and what it says of the configuration is so."""

import doctest
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import ai_cost_optimal_router
from ai_cost_optimal_router import Config, Knowledge, Router, Situation
from ai_cost_optimal_router.audit import replay
from ai_cost_optimal_router.strategies import STRATEGIES

from .models import NOW_S, a_router, choose, never
from .test_config import LEAVES

README = (Path(ai_cost_optimal_router.__file__).parent / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("example", blocks("yaml"))
def test_the_examples_of_configuration_are_valid(example: str) -> None:
    assert Config.from_json(yaml.safe_load(example)) != Config()


def test_the_example_of_a_record_can_be_replayed() -> None:
    (record,) = map(json.loads, blocks("json"))
    router = a_router(deny=["google/*", "anthropic/*"])

    choice = choose(router, request_id="8f14", prompt_tokens=1_200, domain="code", complexity=0.42)

    assert choice.make_record() == record
    assert replay(record).model == choice.model.key


def test_the_examples_of_reasons_are_true() -> None:
    down = Knowledge(closed={"openai": NOW_S + 9})
    strict = a_router(quality_floor=0.99)
    coding: dict[str, Any] = {"prompt_tokens": 1_200, "domain": "code"}
    reasons = [
        choose(a_router(), **coding).reason,
        choose(a_router(), down, **coding).reason,
        choose(a_router(), strategy="rule_based", complexity=0.7, **coding).reason,
        choose(a_router(), requested_model="kimi").reason,
        choose(strict).reason,
    ]

    for reason in reasons:
        assert f"    {reason}\n" in README


def test_the_library_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(blocks("python")[0], {})

    assert capsys.readouterr().out.startswith(
        "gpt-4.1-mini cost_optimal: gpt-4.1-mini cheapest of 5; excluded "
    )


def test_the_strategy_of_ones_own_works() -> None:
    names: dict[str, Any] = {}
    exec(blocks("python")[1], names)
    strategy = names["NightShift"](from_hour=20)
    config = Config(strategy="night_shift", strategies={**Config().strategies, "night_shift": strategy})
    router = Router(config)

    def at(hour: int) -> str:
        situation = Situation(prompt_tokens=1_000, now_s=hour * 3600.0)
        choice = router.choose(situation, Knowledge(), never)
        assert replay(choice.make_record()).model == choice.model.key
        return choice.reason

    assert at(19).startswith("night_shift strong: claude-sonnet cheapest of 2 preferred, 6 possible")
    assert at(20).startswith("night_shift weak: gpt-4.1-mini cheapest of 4 preferred, 6 possible")


def test_the_example_of_the_package_is_true() -> None:
    assert doctest.testmod(ai_cost_optimal_router) == doctest.TestResults(failed=0, attempted=4)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_has_its_row(strategy: str) -> None:
    assert f"| `{strategy}` | " in README


@pytest.mark.parametrize("path", LEAVES)
def test_every_setting_is_in_the_readme(path: str) -> None:
    section, _, name = path.rpartition(".")
    table = README[README.index("## Configuration") : README.index("## Why this model?")]
    known = (f"`{path}`", f"`{section}.*`", f"`….{name}`", f"`{path}.<name>`", f"`{path}.<name>.*`")

    assert any(form in table for form in known)


@pytest.mark.parametrize(
    ("name", "default"), re.findall(r"^\| `([a-z_.]+)` \| \w+ \| `?([\w./*-]+?)`? \|", README, re.MULTILINE)
)
def test_the_defaults_in_the_readme_are_those_of_the_schema(name: str, default: str) -> None:
    meant = LEAVES[name].get("default")
    if meant is None or meant == "":
        assert default in ("none", "all")
    elif isinstance(meant, list):
        assert default in ("all", "none", *meant)
    elif isinstance(meant, bool):
        assert default == str(meant).lower()
    elif isinstance(meant, str):
        assert default == meant
    else:
        assert float(default) == meant
