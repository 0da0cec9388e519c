"""The default catalog has the seven models that trials, tests and fake providers speak of."""

from collections.abc import Iterable

import pytest

from aigateway.catalog import DEFAULT_CATALOG, Model
from aigateway.chat import Format, Need
from nexus.providers import PROVIDERS

# In US dollars per thousand tokens, as the source of these seven has them, and in hundredths of quality.
MODELS = {
    "gpt-5.5": (0.006, 0.018, 97),
    "gpt-4.1-mini": (0.0002, 0.0008, 84),
    "claude-sonnet": (0.003, 0.015, 98),
    "claude-haiku": (0.0008, 0.004, 82),
    "gemini-pro": (0.0035, 0.0105, 95),
    "gemini-flash": (0.0015, 0.009, 81),
    "kimi": (0.0005, 0.002, 76),
}


def names(models: Iterable[Model]) -> set[str]:
    return {model.name for model in models}


@pytest.mark.parametrize("name", MODELS)
def test_prices_and_quality_are_those_of_the_source(name: str) -> None:
    model = DEFAULT_CATALOG.find(name)
    assert model is not None

    # 1 USD per thousand tokens is 1,000,000 nano-USD per token.
    input, output, quality = MODELS[name]
    assert model.prices.input == round(input * 1_000_000)
    assert model.prices.output == round(output * 1_000_000)
    assert model.quality == quality / 100


def test_there_are_seven_and_the_fake_providers_have_them() -> None:
    assert [model.name for model in DEFAULT_CATALOG] == list(MODELS)
    assert {(model.provider, model.upstream_name) for model in DEFAULT_CATALOG} == {
        (provider.name, model) for provider in PROVIDERS for model in provider.models
    }
    assert all(model.cluster == model.provider for model in DEFAULT_CATALOG)


def test_only_one_model_keeps_people_waiting() -> None:
    assert names(model for model in DEFAULT_CATALOG if not model.is_realtime) == {"gemini-pro"}


def test_medicine_and_law_are_left_to_the_strong_models() -> None:
    strong = names(model for model in DEFAULT_CATALOG if model.tier == "strong")

    assert strong == {"gpt-5.5", "claude-sonnet", "gemini-pro"}
    for domain in ("medical", "legal"):
        assert names(model for model in DEFAULT_CATALOG if domain in model.domains) == strong


@pytest.mark.parametrize("need", Need)
def test_every_need_is_met_by_some_model(need: Need) -> None:
    assert any(need in model.needs for model in DEFAULT_CATALOG)


@pytest.mark.parametrize("format", Format)
def test_every_format_is_spoken_by_some_model(format: Format) -> None:
    assert any(format in model.formats for model in DEFAULT_CATALOG)


def test_reading_from_a_cache_is_cheaper_and_writing_into_one_never_is() -> None:
    for model in DEFAULT_CATALOG:
        assert 0 < model.prices.cached_input < model.prices.input <= model.prices.cache_write
