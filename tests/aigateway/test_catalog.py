"""A catalog is read with everything wrong at once, and never holds a model that costs nothing by accident."""

import random
from collections.abc import Mapping
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway.catalog import DEFAULT_CATALOG, DOMAINS, Catalog, Model, Prices, read_catalog
from aigateway.chat import Format, Need
from aigateway.config import ConfigError, Reader
from aigateway.usage import Usage

PRICES = {"input": 400, "output": 1600}


def entry(**changes: object) -> dict[str, object]:
    """Return the least that a model must say, with *changes*."""
    least: dict[str, object] = {
        "name": "gpt-4.1-mini",
        "provider": "openai",
        "prices_nano_usd_per_token": PRICES,
        "quality": 0.84,
        "context_window_tokens": 1_047_576,
    }
    return {key: value for key, value in (least | changes).items() if value != "absent"}


def read(*entries: object, **beside: object) -> Catalog:
    reader = Reader({"catalog": list(entries), **beside})
    catalog = read_catalog(reader)
    reader.finish()
    return catalog


def problems(configuration: Mapping[str, object]) -> list[str]:
    reader = Reader(configuration)
    read_catalog(reader)
    with pytest.raises(ConfigError) as raised:
        reader.finish()
    return str(raised.value).splitlines()


def model(name: str, provider: str = "p") -> Model:
    return read(entry(name=name, provider=provider)).models[0]


class TestReading:
    def test_what_a_model_need_not_say_is_what_most_models_are(self) -> None:
        (model,) = read(entry())

        assert model == Model(
            name="gpt-4.1-mini",
            provider="openai",
            cluster="openai",
            upstream_name="gpt-4.1-mini",
            prices=Prices(input=400, output=1600, cached_input=400, cache_write=400),
            quality=0.84,
            domains=frozenset(DOMAINS),
            context_window_tokens=1_047_576,
            max_output_tokens=None,
            needs=frozenset({Need.TOOLS, Need.JSON, Need.STREAM}),
            is_realtime=True,
            tier=None,
            regions=frozenset(),
            formats=frozenset(Format),
        )

    def test_everything_a_model_says_is_read(self) -> None:
        (model,) = read(
            entry(
                name="mini",
                cluster="outbound|443||llm-openai.internal.dns",
                upstream_name="gpt-4.1-mini-2025-04-14",
                prices_nano_usd_per_token=PRICES | {"cached_input": 100, "cache_write": 500},
                domains=["code", "general"],
                max_output_tokens=32_768,
                needs=["vision"],
                realtime=False,
                tier="weak",
                regions=["us", "eu"],
                formats=["chat_completions"],
                source="genai-prices:openai/gpt-4.1-mini",
            )
        )

        assert model == Model(
            name="mini",
            provider="openai",
            cluster="outbound|443||llm-openai.internal.dns",
            upstream_name="gpt-4.1-mini-2025-04-14",
            prices=Prices(input=400, output=1600, cached_input=100, cache_write=500),
            quality=0.84,
            domains=frozenset({"code", "general"}),
            context_window_tokens=1_047_576,
            max_output_tokens=32_768,
            needs=frozenset({Need.VISION}),
            is_realtime=False,
            tier="weak",
            regions=frozenset({"us", "eu"}),
            formats=frozenset({Format.CHAT}),
        )

    def test_a_model_may_be_said_to_do_nothing_beyond_text(self) -> None:
        (model,) = read(entry(needs=[]))

        assert model.needs == frozenset()

    def test_a_key_without_a_value_is_as_good_as_none(self) -> None:
        nothing = dict.fromkeys(
            [
                "cluster",
                "upstream_name",
                "domains",
                "max_output_tokens",
                "needs",
                "realtime",
                "tier",
                "regions",
                "formats",
                "source",
            ]
        )
        prices = PRICES | {"cached_input": None, "cache_write": None}

        assert read(entry(**nothing, prices_nano_usd_per_token=prices)) == read(entry())

    def test_models_stay_in_the_order_of_the_configuration(self) -> None:
        names = [f"m{number}" for number in random.Random(4).sample(range(1000), 50)]

        catalog = read(*(entry(name=name) for name in names))

        assert [model.name for model in catalog] == names
        assert len(catalog) == 50

    def test_an_absent_catalog_reads_as_the_default_one(self) -> None:
        reader = Reader({})
        assert read_catalog(reader) is DEFAULT_CATALOG
        reader.finish()

        mine = read(entry())
        assert read_catalog(Reader({"catalog": None}), default=mine) is mine

    def test_the_catalog_may_have_another_key(self) -> None:
        reader = Reader({"models": [entry()]})
        assert [model.name for model in read_catalog(reader, "models")] == ["gpt-4.1-mini"]
        reader.finish()


class TestPrices:
    def test_a_model_without_prices_is_refused_by_name(self) -> None:
        bare = entry(prices_nano_usd_per_token="absent")
        expected = (
            "catalog[0].prices_nano_usd_per_token: expected the prices {input, output} of 'gpt-4.1-mini', "
            "or `unpriced` beside the list, got nothing"
        )

        assert problems({"catalog": [bare]}) == [expected]
        assert problems({"catalog": [bare], "unpriced": "refuse"}) == [expected]

    def test_a_model_without_prices_costs_what_the_configuration_says(self) -> None:
        bare = entry(name="bare", prices_nano_usd_per_token="absent")

        catalog = read(bare, entry(), unpriced={"input": 10_000, "output": 50_000})

        assert catalog.models[0].prices == Prices(
            input=10_000, output=50_000, cached_input=10_000, cache_write=10_000
        )
        assert catalog.models[1].prices.input == 400

    def test_a_price_of_nothing_must_be_written(self) -> None:
        (model,) = read(entry(prices_nano_usd_per_token={"input": 0, "output": 0}))

        assert model.prices == Prices(input=0, output=0, cached_input=0, cache_write=0)

    @pytest.mark.parametrize(
        ("price", "got"),
        [
            (0.4, "the number 0.4"),
            (400.0, "the number 400.0"),
            ("400", "the string '400'"),
            (-1, "the number -1"),
            (True, "true"),
            (10**9 + 1, "the number 1000000001"),
            (None, "nothing"),
        ],
    )
    def test_what_is_no_exact_price_is_refused_with_a_word_on_the_unit(self, price: object, got: str) -> None:
        assert problems({"catalog": [entry(prices_nano_usd_per_token=PRICES | {"input": price})]}) == [
            "catalog[0].prices_nano_usd_per_token.input: expected a whole number of nano-USD per token from "
            "0 to "
            f"1000000000 (1 USD per million tokens is 1000), got {got}"
        ]

    def test_a_wrong_price_for_unpriced_models_is_said_once(self) -> None:
        bare = [entry(name=name, prices_nano_usd_per_token="absent") for name in "abc"]

        (problem,) = problems({"catalog": bare, "unpriced": {"input": 1}})
        assert problem.startswith("unpriced.output: expected a whole number of nano-USD per token")
        assert problems({"catalog": bare, "unpriced": "free"}) == [
            "unpriced: expected 'refuse' or {input, output}, got the string 'free'"
        ]

    def test_costs_are_exact_and_tokens_of_the_cache_have_their_own_price(self) -> None:
        prices = Prices(input=3_000, output=15_000, cached_input=300, cache_write=3_750)
        usage = Usage(
            input_tokens=10_000,
            output_tokens=700,
            cached_input_tokens=6_000,
            cache_write_tokens=1_000,
            reasoning_tokens=500,
        )

        assert prices.cost(usage) == 3_000 * 3_000 + 6_000 * 300 + 1_000 * 3_750 + 700 * 15_000

    @given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
    def test_no_usage_earns_money(self, input: int, output: int, cached: int, written: int) -> None:
        prices = Prices(input=3, output=7, cached_input=1, cache_write=4)

        cost = prices.cost(Usage(input, output, cached, written))

        assert cost >= 7 * output + cached + 4 * written


class TestProblems:
    def test_everything_wrong_is_said_at_once(self) -> None:
        wrong = entry(
            provider="open/ai",
            cluster="a b",
            quality=1.5,
            domains=["code", "cooking"],
            context_window_tokens=0,
            max_output_tokens=-1,
            needs=["smell"],
            realtime="no",
            formats=["chat"],
            tiers="weak",
        )

        assert problems({"catalog": [wrong, "gpt", entry(name="")]}) == [
            "catalog[0].provider: expected a name of at most 100 letters, digits and ._-, "
            "got the string 'open/ai'",
            "catalog[0].cluster: expected a word of at most 256 visible ASCII characters without commas, "
            "got the string 'a b'",
            "catalog[0].quality: expected a number from 0 to 1, got the number 1.5",
            "catalog[0].domains[1]: expected 'code', 'medical', 'legal' or 'general', "
            "got the string 'cooking'",
            "catalog[0].context_window_tokens: expected a whole number from 1 to 1000000000000, "
            "got the number 0",
            "catalog[0].max_output_tokens: expected a whole number from 1 to 1000000000000, "
            "got the number -1",
            "catalog[0].needs[0]: expected 'vision', 'audio', 'tools', 'json' or 'stream', "
            "got the string 'smell'",
            "catalog[0].realtime: expected true or false, got the string 'no'",
            "catalog[0].formats[0]: expected 'chat_completions', 'completions', 'responses' or "
            "'anthropic_messages', got the string 'chat'",
            "catalog[0].tiers: unknown key, did you mean 'tier'?",
            "catalog[1]: expected an object, got the string 'gpt'",
            "catalog[2].name: expected a name of at most 200 letters, digits and ._:/@+~-, "
            "got an empty string",
        ]

    @pytest.mark.parametrize(
        ("key", "expected"),
        [
            ("name", "a name of at most 200 letters, digits and ._:/@+~-"),
            ("provider", "a name of at most 100 letters, digits and ._-"),
            ("quality", "a number from 0 to 1"),
            ("context_window_tokens", "a number of tokens"),
        ],
    )
    def test_what_must_be_there_is_missed(self, key: str, expected: str) -> None:
        assert problems({"catalog": [entry(**{key: "absent"})]}) == [
            f"catalog[0].{key}: expected {expected}, got nothing"
        ]

    @pytest.mark.parametrize("key", ["domains", "formats"])
    def test_a_model_for_nothing_is_refused(self, key: str) -> None:
        (problem,) = problems({"catalog": [entry(**{key: []})]})
        assert problem.startswith(f"catalog[0].{key}: expected at least one of")

    @pytest.mark.parametrize("name", ["a,b", "a b", "a*", "ä", "a\r\nx: y", "a" * 201, "/a", 7])
    def test_a_name_that_headers_or_patterns_would_misread_is_refused(self, name: object) -> None:
        (problem,) = problems({"catalog": [entry(name=name)]})
        assert problem.startswith("catalog[0].name: expected a name of")

    @pytest.mark.parametrize(
        "name", ["meta-llama/Llama-3.3-70B", "ft:gpt-4o:me::x1", "@cf/meta/llama", "~x/y", "a+b"]
    )
    def test_names_as_providers_give_them_are_taken(self, name: str) -> None:
        assert read(entry(name=name)).models[0].name == name

    def test_names_are_unique_with_their_provider_and_without(self) -> None:
        assert problems(
            {
                "catalog": [
                    entry(name="a", provider="p"),
                    entry(name="a", provider="q"),
                    entry(name="p/a", provider="q"),
                    entry(name="b"),
                ]
            }
        ) == [
            "catalog[1].name: expected a name of its own (catalog[0] has this one), got the string 'a'",
            "catalog[2].name: expected a name of its own (catalog[0] has this one), got the string 'p/a'",
        ]
        with pytest.raises(ValueError, match="'a' names two models"):
            Catalog([model("a"), model("a")])

    @pytest.mark.parametrize("value", [[], {}, "gpt", 3])
    def test_a_catalog_of_no_models_is_refused(self, value: object) -> None:
        (problem,) = problems({"catalog": value})
        assert problem.startswith("catalog: expected a list with at least one model, got")

    def test_of_a_thousand_models_only_what_is_wrong_is_reported(self) -> None:
        entries = [entry(name=f"m{number}") for number in range(1000)]
        entries[777] |= {"quality": "good"}

        assert problems({"catalog": entries}) == [
            "catalog[777].quality: expected a number from 0 to 1, got the string 'good'"
        ]


class TestFinding:
    CATALOG = Catalog(
        [model("gpt-4.1", "openai"), model("gpt-4.1-mini", "openai"), model("gpt-4.1@azure", "azure")]
    )

    @pytest.mark.parametrize("text", ["gpt-4.1-mini", "openai/gpt-4.1-mini"])
    def test_a_model_is_found_by_its_name_and_with_its_provider(self, text: str) -> None:
        found = self.CATALOG.find(text)

        assert found is self.CATALOG.models[1]
        assert found.key == "openai/gpt-4.1-mini"

    @pytest.mark.parametrize("text", ["", "gpt", "azure/gpt-4.1-mini", "GPT-4.1-mini", "gpt-4.1*", "openai/"])
    def test_nothing_else_finds_a_model(self, text: str) -> None:
        assert self.CATALOG.find(text) is None

    @pytest.mark.parametrize(
        ("pattern", "found"),
        [
            ("*", [0, 1, 2]),
            ("gpt-4.1", [0]),
            ("gpt-4.1*", [0, 1, 2]),
            ("*-mini", [1]),
            ("openai/*", [0, 1]),
            ("*/gpt*", [0, 1, 2]),
            ("o*a*i*1", [0]),
            ("gpt-4.1**", [0, 1, 2]),
            ("azure/*azure", [2]),
            ("gpt-4.1-mini*mini", []),
            ("anthropic/*", []),
            ("", []),
        ],
    )
    def test_a_star_stands_for_any_text(self, pattern: str, found: list[int]) -> None:
        assert [self.CATALOG.models.index(model) for model in self.CATALOG.matching(pattern)] == found

    @given(
        st.text("ab*", max_size=8), st.lists(st.text("ab", min_size=1, max_size=6), unique=True, max_size=6)
    )
    def test_patterns_match_as_those_of_a_shell_do(self, pattern: str, names: list[str]) -> None:
        catalog = Catalog([model(name) for name in names])

        expected = [name for name in names if fnmatchcase(name, pattern) or fnmatchcase(f"p/{name}", pattern)]
        assert [model.name for model in catalog.matching(pattern)] == expected

    def test_a_pattern_made_to_take_long_does_not(self) -> None:
        name = "a" * 200

        catalog = Catalog([model(name)])

        # Tried in every way, as naive matching does, this would not end.
        assert catalog.matching("*a" * 150 + "*b") == ()
        assert catalog.matching("*" * 1_000_000 + "b") == ()

    def test_a_catalog_is_equal_to_one_of_the_same_models(self) -> None:
        assert Catalog(self.CATALOG.models) == self.CATALOG
        assert hash(Catalog(self.CATALOG.models)) == hash(self.CATALOG)
        assert Catalog(self.CATALOG.models[:2]) != self.CATALOG
        assert repr(self.CATALOG) == "<Catalog of 3 models>"
