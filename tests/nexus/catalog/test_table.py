"""The table is easy to edit, and says at once what is wrong with it."""

from pathlib import Path

import pytest

from nexus.catalog.price_list import PriceList
from nexus.catalog.table import Table, matches, read_table
from nexus.reading import DescriptionError

ENVOY = Path(__file__).resolve().parents[3] / "envoy"


def table(tmp_path: Path, text: str) -> Table:
    path = tmp_path / "quality.yaml"
    path.write_text(text)
    return read_table(path)


def test_of_each_key_the_first_row_that_has_it_counts(tmp_path: Path) -> None:
    rows = table(
        tmp_path,
        """
        models:
          acme/small: {quality: 0.9, source: measured}
          acme/s*: {quality: 0.5, source: guessed, tier: weak, tiers: first}
          acme/*: {tier: strong, regions: [eu]}
        """,
    )

    assert rows.facts("acme/small") == {
        "quality": 0.9,
        "source": "measured",
        "tier": "weak",
        "tiers": "first",
        "regions": ["eu"],
    }
    assert rows.facts("acme/large") == {"tier": "strong", "regions": ["eu"]}
    assert rows.facts("other/small") == {}
    assert rows.facts("acme/small-2026", "acme/small")["quality"] == 0.9
    assert rows.idle(["acme/large"]) == ["acme/small", "acme/s*"]


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(DescriptionError) as raised:
        table(
            tmp_path,
            """
            models:
              a/x: {quality: 1.2, source: measured}
              a/y: {quality: 0.5}
              a/z: {needs: [smell], tier: ""}
              b/x: {name: x, upstream_name: y}
              b/y: {tiers: lowest, qualty: 0.5}
              b/z: 0.5
              c/x: {prices_nano_usd_per_token: {input: 0.4, output: 1}}
            rows: {}
            """,
        )

    assert list(raised.value.problems) == [
        "quality.yaml: models.a/x.quality: expected a number from 0 to 1, got the number 1.2",
        "quality.yaml: models.a/y.source: expected where the number of quality comes from, got nothing",
        "quality.yaml: models.a/z.needs[0]: expected 'vision', 'audio', 'tools', 'json' or 'stream', "
        "got the string 'smell'",
        "quality.yaml: models.a/z.tier: expected a word of at most 256 visible ASCII characters without "
        "commas, got an empty string",
        "quality.yaml: models.b/x.name: expected in the catalog, where each model has its own",
        "quality.yaml: models.b/x.upstream_name: expected in the catalog, where each model has its own",
        "quality.yaml: models.b/y.tiers: expected 'highest' or 'first'",
        "quality.yaml: models.b/y.qualty: unknown key, did you mean 'quality'?",
        "quality.yaml: models.b/z: expected an object such as {quality: 0.9, source: ...}",
        "quality.yaml: models.c/x.prices_nano_usd_per_token.input: expected a whole number of nano-USD per "
        "token from 0 to 1000000000 (1 USD per million tokens is 1000), got the number 0.4",
        "quality.yaml: rows: unknown key",
    ]


@pytest.mark.parametrize(
    ("pattern", "model", "fits"),
    [
        ("acme/a.b", "acme/a.b", True),
        ("acme/a.b", "acme/axb", False),
        ("acme/*", "acme/x/y", True),
        ("*/x", "acme/x", True),
        ("acme/[ab]", "acme/a", False),
    ],
)
def test_only_a_star_stands_for_anything_else(pattern: str, model: str, fits: bool) -> None:
    assert matches(pattern, model) is fits


def test_every_row_of_our_own_table_is_for_some_model_of_the_price_list() -> None:
    assert read_table(ENVOY / "quality.yaml").idle(PriceList.packaged().names) == []
