"""Money is exact: dollars as text at the edges, whole nano-dollars within."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway.money import NANO_USD_PER_USD, parse_usd, usd


@pytest.mark.parametrize(
    ("nano_usd", "text"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (4_250_000, "0.00425"),
        (25 * NANO_USD_PER_USD, "25"),
        (1_500_000_000, "1.5"),
        (-1, "-0.000000001"),
        (-2_500_000_000, "-2.5"),
        (10**30 + 1, "1000000000000000000000.000000001"),
    ],
)
def test_an_amount_is_written_exactly_and_without_needless_zeros(nano_usd: int, text: str) -> None:
    assert usd(nano_usd) == text
    assert parse_usd(text) == nano_usd


@pytest.mark.parametrize(
    ("amount", "nano_usd"),
    [
        (25, 25_000_000_000),
        (0.1, 100_000_000),
        (1e-9, 1),
        (1.5e3, 1_500_000_000_000),
        ("1e3", 1_000_000_000_000),
        ("12.5E-1", 1_250_000_000),
        ("+3", 3_000_000_000),
        ("3.", 3_000_000_000),
        ("-0", 0),
        ("0.0000000010", 1),
        ("0.30000000000000000000", 300_000_000),
    ],
)
def test_numbers_and_texts_are_read_exactly(amount: str | int | float, nano_usd: int) -> None:
    assert parse_usd(amount) == nano_usd


@pytest.mark.parametrize(
    "amount",
    ["", " 1", "1 ", "1_000", "1,5", ".5", "ten", "nan", "inf", "0x1", "--1", "１", "1e", True, float("nan")],
)
def test_what_is_no_amount_is_refused(amount: str | float) -> None:
    with pytest.raises(ValueError, match=r"expected an amount in US dollars such as 0\.25"):
        parse_usd(amount)


@pytest.mark.parametrize("amount", ["0.0000000001", "1e-10", 1e-10, "1.0000000005"])
def test_a_fraction_of_a_nano_dollar_is_refused_rather_than_lost(amount: str | float) -> None:
    with pytest.raises(ValueError, match="at most 9 decimals"):
        parse_usd(amount)


@pytest.mark.parametrize("amount", ["9" * 10_000, "1e999999999", "1e-999999999", "0." + "1" * 10_000])
def test_a_text_that_would_take_long_is_refused_at_once(amount: str) -> None:
    with pytest.raises(ValueError, match="expected an amount"):
        parse_usd(amount)


@given(st.integers(-(10**27), 10**27))
def test_what_is_written_reads_back(nano_usd: int) -> None:
    assert parse_usd(usd(nano_usd)) == nano_usd
    assert Fraction(usd(nano_usd)) * NANO_USD_PER_USD == nano_usd


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**12), max_value=10**12))
def test_any_decimal_reads_as_what_it_is(amount: object) -> None:
    assert parse_usd(str(amount)) == Fraction(str(amount)) * NANO_USD_PER_USD
