"""`python -m nexus catalog` with the price list as it comes with genai-prices."""

from pathlib import Path

import pytest
import yaml

from aigateway.catalog import Catalog, read_catalog
from aigateway.config import Reader
from nexus.cli import main

TABLE = """
models:
  openai/gpt-4.1-mini: {quality: 0.84, source: measured, needs: [vision, tools, json, stream]}
  anthropic/claude-haiku-4-5: {quality: 0.82, source: measured, needs: [tools]}
  moonshotai/*: {provider: moonshot}
  moonshotai/kimi-k2.*: {quality: 0.76, source: measured, needs: [tools]}
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    (tmp_path / "quality.yaml").write_text(TABLE)
    return tmp_path / "catalog.yaml"


def run(catalog: Path, *arguments: str) -> int:
    table = catalog.with_name("quality.yaml")
    return main(["catalog", *arguments, "--catalog", str(catalog), "--table", str(table)])


def models(catalog: Path) -> Catalog:
    reader = Reader(yaml.safe_load(catalog.read_text()))
    read = read_catalog(reader)
    reader.finish()
    return read


def test_models_are_imported_with_prices_window_and_what_the_table_says(
    catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(catalog, "openai/gpt-4.1-mini", "moonshotai") == 0

    out = capsys.readouterr().out
    assert (
        "added gpt-4.1-mini: input 400, output 1600, cached_input 100, cache_write 400; quality 0.84" in out
    )
    assert "note, costs more than the catalog says with service_tier=" in out
    assert "skipped, no quality: moonshotai/kimi-k2, " in out
    mini, *kimis = models(catalog)
    assert (mini.key, mini.prices.input, mini.prices.output) == ("openai/gpt-4.1-mini", 400, 1600)
    assert mini.context_window_tokens == 1_000_000
    assert len(kimis) >= 3
    assert {model.provider for model in kimis} == {"moonshot"}


def test_importing_again_writes_nothing_and_the_check_agrees(
    catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(catalog, "openai/gpt-4.1-mini", "anthropic/claude-haiku-4-5") == 0
    text, written = catalog.read_text(), catalog.stat().st_mtime_ns
    capsys.readouterr()

    assert run(catalog) == 0
    assert run(catalog, "openai/gpt-4.1-mini") == 0
    assert run(catalog, "--check") == 0

    assert (catalog.read_text(), catalog.stat().st_mtime_ns) == (text, written)
    assert capsys.readouterr().out.count("2 models: 0 added, 0 changed, 0 vanished; 0 skipped") == 3


def test_the_check_says_what_is_not_up_to_date_and_writes_nothing(
    catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(catalog, "openai/gpt-4.1-mini")
    stale = catalog.read_text().replace("output: 1600", "output: 1500")
    catalog.write_text(stale)
    capsys.readouterr()

    assert run(catalog, "--check") == 1

    out, err = capsys.readouterr()
    assert "changed gpt-4.1-mini: output 1500 -> 1600\n" in out
    assert err == f"{catalog} is not up to date: `python -m nexus catalog` writes it\n"
    assert catalog.read_text() == stale
    assert run(catalog) == 0
    assert models(catalog).models[0].prices.output == 1600


def test_a_check_of_a_model_that_is_not_there_fails_too(catalog: Path) -> None:
    assert run(catalog, "openai/gpt-4.1-mini", "--check") == 1
    assert not catalog.exists()


def test_what_the_operator_wrote_survives(catalog: Path) -> None:
    run(catalog, "openai/gpt-4.1-mini")
    document = yaml.safe_load(catalog.read_text())
    document["catalog"][0] |= {"tier": "weak", "regions": ["eu"], "cluster": "openai-eu", "domains": ["code"]}
    own = {
        "name": "own",
        "provider": "home",
        "prices_nano_usd_per_token": {"input": 0, "output": 0},
        "quality": 0.3,
        "context_window_tokens": 4096,
    }
    document["catalog"].insert(0, own)
    document["unpriced"] = {"input": 1, "output": 2}
    catalog.write_text(yaml.safe_dump(document))

    assert run(catalog, "anthropic/claude-haiku-4-5") == 0

    after = yaml.safe_load(catalog.read_text())
    assert after["unpriced"] == {"input": 1, "output": 2}
    assert after["catalog"][0] == own
    assert after["catalog"][1] == document["catalog"][1]
    assert [entry["name"] for entry in after["catalog"]] == ["own", "gpt-4.1-mini", "claude-haiku-4-5"]


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (
            "openai/gpt-41-mini",
            "openai/gpt-41-mini: expected a model or provider of genai-prices, did you mean",
        ),
        ("openai/o3", "openai/o3: no quality in genai-prices or the table of qualities"),
        # Copilot is paid by the month, so the list has no price for a token.
        ("github-copilot/gpt-4.1", "github-copilot/gpt-4.1: no quality and no price in genai-prices"),
    ],
)
def test_a_model_that_cannot_be_imported_is_refused_and_nothing_is_written(
    catalog: Path, capsys: pytest.CaptureFixture[str], wanted: str, problem: str
) -> None:
    assert run(catalog, "openai/gpt-4.1-mini", wanted) == 1

    assert capsys.readouterr().err.startswith(problem)
    assert not catalog.exists()


def test_a_row_for_no_model_is_said(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = catalog.with_name("quality.yaml")
    table.write_text(TABLE + "  openai/gtp-5: {tier: strong}\n")

    assert run(catalog, "openai/gpt-4.1-mini") == 0

    assert "note, quality.yaml: openai/gtp-5 is no model of genai-prices\n" in capsys.readouterr().out


def test_without_a_catalog_there_is_nothing_to_bring_up_to_date(
    catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(catalog) == 1
    assert capsys.readouterr().err == f"{catalog} cannot be read: No such file or directory\n"


def test_our_own_catalog_was_not_imported_and_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalog", "--check"]) == 0

    assert capsys.readouterr().out == (
        "7 models: 0 added, 0 changed, 0 vanished; 0 skipped\n"
        "none of them was imported; `python -m nexus catalog openai/gpt-5.5` imports one\n"
    )


def test_our_own_table_imports_real_models_of_all_four_providers(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"

    assert main(["catalog", "openai", "anthropic", "google", "moonshotai", "--catalog", str(catalog)]) == 0

    imported = models(catalog)
    assert {model.provider for model in imported} == {"openai", "anthropic", "google", "moonshot"}
    assert len(imported) >= 15
    assert all(model.prices.input > 0 and model.prices.output > 0 for model in imported)
