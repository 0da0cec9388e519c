"""An import follows its sources, keeps what is the operator's, and says what it did."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from types import MappingProxyType

import pytest
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ClauseStartsWith,
    ModelInfo,
    ModelPrice,
    Provider,
    Tier,
    TieredPrices,
)

from nexus.catalog.file import Entry, Listing
from nexus.catalog.importing import Import, import_models
from nexus.catalog.price_list import PriceList
from nexus.catalog.table import Table
from nexus.reading import DescriptionError

ROW = {"quality": 0.9, "source": "measured", "needs": ["tools"]}
TABLE = {"acme/small": ROW, "acme/large": ROW}


def listed(name: str, *, input: str | None = "1", output: str = "2", window: int | None = 1000) -> ModelInfo:
    prices = {} if input is None else {"input_mtok": Decimal(input), "output_mtok": Decimal(output)}
    match = ClauseOr([ClauseEquals(name), ClauseStartsWith(f"{name}-20")])
    return ModelInfo(id=name, match=match, context_window=window, prices=ModelPrice(**prices))


def acme(*models: ModelInfo, name: str = "acme") -> Provider:
    return Provider(id=name, name=name, api_pattern=name, models=list(models))


def imported(
    *wanted: str,
    before: Sequence[Entry] = (),
    unpriced: object = None,
    providers: Sequence[Provider] = (acme(listed("small"), listed("large", input="5", output="20")),),
    table: Mapping[str, Mapping[str, object]] = TABLE,
) -> Import:
    return import_models(
        Listing(tuple(before), unpriced),
        wanted,
        prices=PriceList(providers),
        table=Table(table),
        today=date(2026, 6, 15),
    )


SMALL: Entry = {
    "name": "small",
    "provider": "acme",
    "source": "genai-prices:acme/small",
    "prices_nano_usd_per_token": {"input": 1000, "output": 2000, "cached_input": 1000, "cache_write": 1000},
    "quality": 0.9,
    "context_window_tokens": 1000,
    "needs": ["tools"],
}


class TestNewModels:
    def test_prices_and_window_are_imported_and_the_rest_is_from_the_table(self) -> None:
        done = imported("acme/small")

        assert done.file.entries == (SMALL,)
        assert done.lines() == [
            "added small: input 1000, output 2000, cached_input 1000, cache_write 1000; quality 0.9; "
            "window 1000",
            "1 model: 1 added, 0 changed, 0 vanished; 0 skipped",
        ]

    @pytest.mark.parametrize("wanted", [["acme"], ["acme/*"], ["*/*"], ["acme/large", "acme"]])
    def test_a_provider_or_pattern_stands_for_all_its_models(self, wanted: list[str]) -> None:
        assert set(imported(*wanted).added) == {"small", "large"}

    def test_new_models_stand_behind_the_old_in_the_order_they_were_asked_for(self) -> None:
        own: Entry = {"name": "own", "provider": "x"}

        done = imported("acme/small", "acme/large", before=[own])

        assert [entry["name"] for entry in done.file.entries] == ["own", "small", "large"]
        assert [entry["name"] for entry in imported("acme").file.entries] == ["large", "small"]

    def test_the_table_says_what_a_new_model_is_like(self) -> None:
        row = ROW | {
            "provider": "mine",
            "cluster": "mine-eu",
            "tier": "weak",
            "regions": ["eu"],
            "domains": ["code"],
            "realtime": False,
            "formats": ["chat_completions"],
            "max_output_tokens": 100,
        }

        (entry,) = imported("acme/small", table={"acme/small": row}).file.entries

        expected = {key: value for key, value in row.items() if key != "source"}
        assert {key: entry[key] for key in expected} == expected
        assert list(entry) == [
            "name",
            "provider",
            "cluster",
            "source",
            "prices_nano_usd_per_token",
            "quality",
            "domains",
            "context_window_tokens",
            "max_output_tokens",
            "needs",
            "realtime",
            "tier",
            "regions",
            "formats",
        ]

    def test_two_providers_of_one_model_have_two_names_for_it(self) -> None:
        providers = [acme(listed("small")), acme(listed("small", input="3"), name="resale")]

        done = imported("acme", "resale", providers=providers, table={"*": ROW})

        assert [(entry["name"], entry.get("upstream_name")) for entry in done.file.entries] == [
            ("small", None),
            ("small@resale", "small"),
        ]

    def test_a_dated_name_is_priced_as_the_model_it_dates(self) -> None:
        done = imported("acme/small-2026-01-01")

        (entry,) = done.file.entries
        assert entry == SMALL | {"name": "small-2026-01-01", "source": "genai-prices:acme/small-2026-01-01"}
        assert done.notes == {"listed as acme/small": ["small-2026-01-01"]}

    def test_the_first_row_that_says_something_counts_also_for_a_dated_name(self) -> None:
        table = {"acme/small": ROW, "acme/*": ROW | {"quality": 0.1}}

        assert imported("acme/small-2026-01-01", table=table).file.entries[0]["quality"] == 0.9


class TestWhatIsMissing:
    UNFIT = (
        acme(
            listed("small"),
            listed("unjudged"),
            listed("unpriced", input=None),
            listed("endless", window=None),
        ),
    )
    TABLE = MappingProxyType({"acme/small": ROW, "acme/unpriced": ROW, "acme/endless": ROW})

    def test_a_provider_is_imported_without_what_is_unfit_and_that_is_said(self) -> None:
        done = imported("acme", providers=self.UNFIT, table=self.TABLE)

        assert list(done.added) == ["small"]
        assert done.lines()[1:] == [
            "skipped, no context window: acme/endless",
            "skipped, no quality: acme/unjudged",
            "skipped, no price: acme/unpriced",
            "1 model: 1 added, 0 changed, 0 vanished; 3 skipped",
        ]

    def test_a_model_that_was_named_is_refused_with_all_that_it_lacks(self) -> None:
        with pytest.raises(DescriptionError) as raised:
            imported(
                "acme/small", "acme/unjudged", "acme/unpriced", providers=self.UNFIT, table={"acme/s*": ROW}
            )

        assert raised.value.problems == (
            "acme/unjudged: no quality in genai-prices or the table of qualities",
            "acme/unpriced: no quality and no price in genai-prices or the table of qualities",
        )

    def test_the_table_can_give_what_the_price_list_lacks(self) -> None:
        prices = {"input": 7, "output": 9}
        table = {
            "acme/unpriced": ROW | {"prices_nano_usd_per_token": prices},
            "acme/endless": ROW | {"context_window_tokens": 50},
        }

        unpriced, endless = imported(
            "acme/unpriced", "acme/endless", providers=self.UNFIT, table=table
        ).file.entries

        assert unpriced["prices_nano_usd_per_token"] == prices
        assert endless["context_window_tokens"] == 50

    def test_a_model_without_a_price_is_taken_when_the_catalog_has_one_for_such_models(self) -> None:
        unpriced = {"input": 9_000, "output": 9_000}

        done = imported("acme/unpriced", unpriced=unpriced, providers=self.UNFIT, table=self.TABLE)

        assert "prices_nano_usd_per_token" not in done.file.entries[0]
        assert done.file.unpriced == unpriced
        with pytest.raises(DescriptionError, match="acme/unpriced: no price"):
            imported("acme/unpriced", unpriced="refuse", providers=self.UNFIT, table=self.TABLE)

    def test_a_model_that_costs_nothing_is_taken_and_said(self) -> None:
        done = imported("acme/small", providers=[acme(listed("small", input="0", output="0"))])

        assert done.notes == {"costs nothing": ["small"]}

    def test_capabilities_that_nobody_knows_are_those_of_most_models_and_said(self) -> None:
        done = imported("acme/small", table={"acme/small": {"quality": 0.9, "source": "measured"}})

        assert "needs" not in done.file.entries[0]
        assert done.notes == {
            "genai-prices knows no capabilities: taken to do json, stream, tools": ["small"]
        }

    @pytest.mark.parametrize(
        ("wanted", "problem"),
        [
            (
                "acme/smal",
                "acme/smal: expected a model or provider of genai-prices, did you mean acme/small?",
            ),
            ("acne", "acne: expected a model or provider of genai-prices, did you mean acme?"),
            ("zzz", "zzz: expected a model or provider of genai-prices; its providers: acme"),
            ("zzz/*", "zzz/*: expected a model or provider of genai-prices; its providers: acme"),
        ],
    )
    def test_what_stands_for_no_model_is_refused(self, wanted: str, problem: str) -> None:
        with pytest.raises(DescriptionError) as raised:
            imported(wanted, "acme/small")

        assert raised.value.problems == (problem,)


class TestModelsImportedBefore:
    def test_importing_again_changes_nothing(self) -> None:
        first = imported("acme")

        again = imported("acme", before=first.file.entries)

        assert again.file == first.file
        assert again.lines() == ["2 models: 0 added, 0 changed, 0 vanished; 0 skipped"]

    def test_prices_window_and_quality_follow_and_every_change_is_said(self) -> None:
        providers = [acme(listed("small", input="1.5", window=2000))]

        done = imported(before=[SMALL], providers=providers, table={"*": ROW | {"quality": 0.8}})

        (entry,) = done.file.entries
        assert entry == SMALL | {
            "prices_nano_usd_per_token": {
                "input": 1500,
                "output": 2000,
                "cached_input": 1500,
                "cache_write": 1500,
            },
            "quality": 0.8,
            "context_window_tokens": 2000,
        }
        assert done.lines()[0] == (
            "changed small: input 1000 -> 1500, cached_input 1000 -> 1500, cache_write 1000 -> 1500, "
            "quality 0.9 -> 0.8, context_window_tokens 1000 -> 2000"
        )

    def test_what_is_the_operators_stays_whatever_the_table_proposes(self) -> None:
        own: Entry = {
            "name": "my-small",
            "provider": "mine",
            "cluster": "eu",
            "domains": ["legal"],
            "realtime": False,
            "tier": "tiny",
            "regions": ["ch"],
            "formats": ["responses"],
        }
        row = ROW | {
            "provider": "acme",
            "cluster": "us",
            "domains": ["code"],
            "tier": "weak",
            "regions": ["us"],
        }

        done = imported("acme", before=[SMALL | own], table={"acme/small": row, "acme/large": ROW})

        entry = done.file.entries[0]
        assert {key: entry[key] for key in own} == own
        # A name of its own no longer says what the provider calls the model.
        assert entry["upstream_name"] == "small"
        assert done.changed == {"my-small": "upstream_name nothing -> small"}

    def test_what_only_the_operator_has_said_stays(self) -> None:
        said: Entry = {"quality": 0.7, "needs": ["vision"], "max_output_tokens": 10}

        done = imported(before=[SMALL | said], table={})

        assert {key: done.file.entries[0][key] for key in said} == said
        assert done.changed == {}

    def test_an_entry_without_a_source_is_left_alone(self) -> None:
        own = {key: value for key, value in SMALL.items() if key != "source"} | {"quality": 0.1}

        done = imported("acme/large", before=[own])

        assert done.file.entries[0] == own

    def test_unless_that_very_model_is_asked_for(self) -> None:
        own = {key: value for key, value in SMALL.items() if key != "source"} | {"quality": 0.1, "tier": "x"}

        done = imported("acme/small", before=[own])

        assert done.file.entries == ({**SMALL, "tier": "x"},)
        assert done.changed == {"small": "quality 0.1 -> 0.9, source nothing -> genai-prices:acme/small"}

    def test_one_model_may_have_several_entries(self) -> None:
        twin = SMALL | {"name": "small-eu", "cluster": "eu", "upstream_name": "small"}
        providers = [acme(listed("small", output="4"))]

        done = imported(before=[SMALL, twin], providers=providers)

        assert list(done.changed) == ["small", "small-eu"]

    def test_a_vanished_model_stays_as_it_was_and_is_said(self) -> None:
        done = imported(before=[SMALL], providers=[acme(listed("large"))])

        assert done.file.entries == (SMALL,)
        assert done.lines() == [
            "vanished small: genai-prices has it no more; it stays as it was",
            "1 model: 0 added, 0 changed, 1 vanished; 0 skipped",
        ]

    def test_a_price_that_vanished_stays_as_it_was_and_is_said(self) -> None:
        done = imported(before=[SMALL], providers=[acme(listed("small", input=None))])

        assert done.file.entries == (SMALL,)
        assert done.notes == {"genai-prices has no price any more: it stays as it was": ["small"]}


class TestPriceTiers:
    PROVIDERS = (
        acme(
            ModelInfo(
                id="small",
                match=ClauseEquals("small"),
                context_window=1000,
                prices=ModelPrice(
                    input_mtok=TieredPrices(Decimal(1), [Tier(200, Decimal(3))]), output_mtok=Decimal(2)
                ),
            )
        ),
    )

    def test_the_table_chooses_between_the_highest_price_and_a_shorter_window(self) -> None:
        (highest,) = imported("acme", providers=self.PROVIDERS).file.entries
        (first,) = imported(
            "acme", providers=self.PROVIDERS, table={"*": ROW | {"tiers": "first"}}
        ).file.entries

        prices = {"output": 2000}
        assert highest["context_window_tokens"] == 1000
        assert highest["prices_nano_usd_per_token"] == prices | dict.fromkeys(
            ["input", "cached_input", "cache_write"], 3000
        )
        assert first["context_window_tokens"] == 200
        assert first["prices_nano_usd_per_token"] == prices | dict.fromkeys(
            ["input", "cached_input", "cache_write"], 1000
        )


def test_a_long_list_of_names_is_cut() -> None:
    models = [listed(f"m{number:03}") for number in range(300)]

    lines = imported("acme", providers=[acme(*models)]).lines()

    assert lines[0].startswith("skipped, no quality: acme/m000, acme/m001, ")
    assert lines[0].endswith("acme/m011 and 288 more")
