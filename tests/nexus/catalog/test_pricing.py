"""Of everything a price list says of a model, the catalog gets four whole numbers, none of them too low."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from aigateway.catalog import Prices
from aigateway.chat import Need
from aigateway.usage import Usage
from nexus.catalog.pricing import Quote, Tiers, quote

TODAY = date(2026, 6, 15)


def per_million(**prices: str | TieredPrices) -> ModelPrice:
    return ModelPrice(
        **{key: Decimal(price) if isinstance(price, str) else price for key, price in prices.items()}
    )


def tiered(base: str, **tiers: str) -> TieredPrices:
    """Make a price that is *base* first and another beyond `_N` tokens of input."""
    return TieredPrices(
        Decimal(base), [Tier(int(start.strip("_")), Decimal(price)) for start, price in tiers.items()]
    )


def model(prices: ModelPrice | list[ConditionalPrice], **more: Any) -> ModelInfo:
    return ModelInfo(id="m", match=ClauseEquals("m"), prices=prices, **more)


def quoted(
    model: ModelInfo, *needs: Need, window: int | None = None, tiers: Tiers = "highest", today: date = TODAY
) -> Quote:
    found = quote(model, today, needs=needs, context_window_tokens=window, tiers=tiers)
    assert found is not None
    return found


def test_dollars_per_million_tokens_become_nano_dollars_per_token() -> None:
    prices = per_million(
        input_mtok="3",
        output_mtok="15",
        cache_read_mtok="0.3",
        cache_write_mtok="3.75",
        web_searches_kcount="10",
    )

    assert quoted(model(prices)) == Quote(
        prices=Prices(input=3_000, output=15_000, cached_input=300, cache_write=3_750),
        longest_input_tokens=None,
        notes=(),
    )


def test_a_cache_without_a_price_of_its_own_costs_what_input_does() -> None:
    assert quoted(model(per_million(input_mtok="0.4", output_mtok="1.6"))).prices == Prices(
        input=400, output=1_600, cached_input=400, cache_write=400
    )


@pytest.mark.parametrize(
    "prices",
    [
        per_million(),
        per_million(input_mtok="1"),
        per_million(output_mtok="1"),
        per_million(input_audio_mtok="1", output_mtok="1"),
        per_million(input_mchars="4"),
    ],
)
def test_a_model_whose_input_or_output_has_no_price_has_none(prices: ModelPrice) -> None:
    assert quote(model(prices), TODAY, needs=[Need.AUDIO], context_window_tokens=None) is None


def test_a_fraction_of_a_nano_dollar_is_rounded_up_and_said() -> None:
    found = quoted(model(per_million(input_mtok="0.0370001", output_mtok="0.55", cache_read_mtok="0.0028")))

    assert found.prices == Prices(input=38, output=550, cached_input=3, cache_write=38)
    assert found.notes == ("fractions of a nano-USD are rounded up",)


class TestLongInput:
    MODEL = model(
        per_million(
            input_mtok=tiered("5", _272000="10"),
            output_mtok=tiered("30", _272000="45"),
            cache_read_mtok="0.5",
        )
    )

    def test_the_highest_price_is_taken_for_all_input(self) -> None:
        assert quoted(self.MODEL, window=1_000_000) == Quote(
            prices=Prices(input=10_000, output=45_000, cached_input=500, cache_write=10_000),
            longest_input_tokens=None,
            notes=("costs more beyond 272000 tokens of input: the highest price is taken for all",),
        )

    def test_or_the_first_price_up_to_the_length_where_it_ends(self) -> None:
        assert quoted(self.MODEL, window=1_000_000, tiers="first") == Quote(
            prices=Prices(input=5_000, output=30_000, cached_input=500, cache_write=5_000),
            longest_input_tokens=272_000,
            notes=("costs more beyond 272000 tokens of input: the context window ends there",),
        )

    @pytest.mark.parametrize("tiers", ["highest", "first"])
    def test_a_price_for_more_than_the_context_window_holds_is_never_paid(self, tiers: Tiers) -> None:
        assert quoted(self.MODEL, window=272_000, tiers=tiers) == Quote(
            prices=Prices(input=5_000, output=30_000, cached_input=500, cache_write=5_000),
            longest_input_tokens=None,
            notes=(),
        )
        assert quoted(self.MODEL, window=272_001).prices.input == 10_000

    def test_of_several_lengths_each_is_said(self) -> None:
        found = quoted(
            model(per_million(input_mtok=tiered("1", _128000="3", _32000="2"), output_mtok="6")),
            tiers="highest",
        )

        assert found.prices.input == 3_000
        assert found.notes == (
            "costs more beyond 32000 and 128000 tokens of input: the highest price is taken for all",
        )


class TestTimes:
    NIGHT = TimeOfDateConstraint(time(0, 30, tzinfo=UTC), time(16, 30, tzinfo=UTC))
    NOTE = "the price depends on the hour, or another is announced: the highest is taken"

    def test_the_dearest_hour_is_taken(self) -> None:
        found = quoted(
            model(
                [
                    ConditionalPrice(prices=per_million(input_mtok="0.135", output_mtok="0.55")),
                    ConditionalPrice(self.NIGHT, prices=per_million(input_mtok="0.27", output_mtok="1.1")),
                ]
            )
        )

        assert found.prices == Prices(input=270, output=1_100, cached_input=270, cache_write=270)
        assert found.notes == (self.NOTE,)

    @pytest.mark.parametrize(
        ("today", "input", "notes"),
        [
            (date(2026, 5, 31), 9_000, (NOTE,)),  # before the fall, and with the rise announced
            (date(2026, 6, 1), 4_000, (NOTE,)),
            (date(2026, 12, 31), 4_000, (NOTE,)),
            (date(2027, 1, 1), 4_000, ()),
        ],
    )
    def test_past_prices_are_forgotten_and_announced_ones_count_already(
        self, today: date, input: int, notes: tuple[str, ...]
    ) -> None:
        history = [
            ConditionalPrice(prices=per_million(input_mtok="9", output_mtok="9")),
            ConditionalPrice(
                StartDateConstraint(date(2026, 6, 1)), prices=per_million(input_mtok="2", output_mtok="9")
            ),
            ConditionalPrice(
                StartDateConstraint(date(2027, 1, 1)), prices=per_million(input_mtok="4", output_mtok="9")
            ),
        ]

        found = quoted(model(history), today=today)

        assert found.prices.input == input
        assert found.notes == notes

    def test_prices_by_the_hour_that_a_later_price_has_replaced_are_forgotten(self) -> None:
        found = quoted(
            model(
                [
                    ConditionalPrice(prices=per_million(input_mtok="1", output_mtok="1")),
                    ConditionalPrice(self.NIGHT, prices=per_million(input_mtok="7", output_mtok="7")),
                    ConditionalPrice(
                        StartDateConstraint(date(2026, 1, 1)),
                        prices=per_million(input_mtok="2", output_mtok="2"),
                    ),
                ]
            )
        )

        assert found.prices.input == 2_000
        assert found.notes == ()


def test_a_cache_is_priced_for_the_longest_life_of_its_entries() -> None:
    found = quoted(
        model(per_million(input_mtok="3", output_mtok="15", cache_write_mtok="3.75", cache_write_1h_mtok="6"))
    )

    assert found.prices.cache_write == 6_000
    assert found.notes == ("writing into the cache is priced as for its longest life",)


def test_sound_and_images_raise_the_price_of_models_that_are_sent_them() -> None:
    prices = per_million(
        input_mtok="0.3",
        output_mtok="2.5",
        cache_read_mtok="0.03",
        input_audio_mtok="1",
        cache_audio_read_mtok="0.1",
        input_image_mtok="0.5",
    )
    note = "images or sound cost more than text: their price is taken for all input"

    assert quoted(model(prices), Need.TOOLS).prices.input == 300
    assert quoted(model(prices), Need.TOOLS).notes == ()
    assert quoted(model(prices), Need.VISION).prices.input == 500
    hearing = quoted(model(prices), Need.AUDIO, Need.VISION)
    assert hearing.prices == Prices(input=1_000, output=2_500, cached_input=100, cache_write=1_000)
    assert hearing.notes == (note,)


def test_reasoning_is_output_at_whichever_price_is_higher() -> None:
    prices = per_million(input_mtok="2", output_mtok="8", output_reasoning_mtok="9")

    assert quoted(model(prices)).prices.output == 9_000


def test_what_no_price_per_token_covers_is_said() -> None:
    prices = per_million(input_mtok="1", output_mtok="1", requests_kcount="5", storage_searches_kcount="2")
    variants = [
        PriceVariant(when={"service_tier": "priority"}, prices=per_million(output_mtok="2")),
        PriceVariant(when={"service_tier": "flex"}, prices=per_million(input_mtok="0.5")),
        PriceVariant(when={"route": "eu"}, prices=per_million(cache_read_mtok="1.1")),
    ]

    assert quoted(model(prices, price_variants=variants)).notes == (
        "is also billed by requests_kcount, which no catalog can say",
        "costs more than the catalog says with route=eu or service_tier=priority",
    )


def test_no_imported_price_is_lower_than_what_genai_prices_bills() -> None:
    """Bill the same usage by both, for every model of the list, at several hours and lengths of input."""
    billed = 0
    for provider in get_snapshot().providers:
        for listed in provider.models:
            found = quote(listed, TODAY, needs=[], context_window_tokens=listed.context_window)
            if found is None:
                continue
            longest = (listed.context_window or 1_000_000) - 1
            for hour, length in [(0, 1_000), (3, 150_000), (9, 500_000), (18, 2_000_000)]:
                tokens = min(length, longest)
                theirs = listed.calc_price(
                    genai_prices.Usage(
                        input_tokens=tokens,
                        cache_read_tokens=tokens // 2,
                        cache_write_tokens=tokens // 4,
                        output_tokens=100,
                    ),
                    provider,
                    genai_request_timestamp=datetime(2026, 6, 15, hour, tzinfo=UTC),
                )
                ours = found.prices.cost(
                    Usage(tokens, 100, cached_input_tokens=tokens // 2, cache_write_tokens=tokens // 4)
                )
                # Fees for a request, which are in neither, are said by a note.
                bill = (theirs.input_price + theirs.output_price) * 10**9
                assert ours >= bill, (provider.id, listed.id, tokens, hour)
                billed += 1
    assert billed > 4_000
