"""Money as whole nano-dollars: exact in ledgers, decimal text at the edges, never a float in between.

One US dollar is 1,000,000,000 nano-USD. A price of 1 USD per million tokens, as price lists write it, is
1,000 nano-USD per token.
"""

import re
from typing import Final

__all__ = ["NANO_USD_PER_USD", "parse_usd", "usd"]

_DECIMALS: Final = 9
NANO_USD_PER_USD: Final = 10**_DECIMALS

_NUMBER = re.compile(r"([+-]?)(\d{1,40})(?:\.(\d{0,40}))?(?:[eE]([+-]?\d{1,2}))?", re.ASCII)
"""Bounded in every part: the text may come from a header, and integers of any length take any time."""


def usd(nano_usd: int) -> str:
    """Write an amount in dollars, exactly and without needless zeros: `0.00425`."""
    whole, fraction = divmod(abs(nano_usd), NANO_USD_PER_USD)
    sign = "-" if nano_usd < 0 else ""
    decimals = f"{fraction:0{_DECIMALS}d}".rstrip("0")
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"


def parse_usd(amount: str | int | float) -> int:
    """Read an amount in dollars, exactly, and return it in nano-USD.

    A float, as YAML and JSON give it for `0.1`, stands for the shortest decimal that it prints as. Raises
    ValueError for what is no finite decimal number, and for fractions of a nano-USD, which would be lost.
    """
    match = None if isinstance(amount, bool) else _NUMBER.fullmatch(str(amount))
    if match is None:
        raise ValueError("expected an amount in US dollars such as 0.25")
    sign, whole, fraction, exponent = match.groups(default="")
    # The digits as one integer, and how many of them stand behind the point once it counts nano-USD.
    digits = int(whole + fraction)
    surplus = len(fraction) - int(exponent or 0) - _DECIMALS
    scale: int = 10 ** abs(surplus)
    nano_usd, lost = divmod(digits, scale) if surplus > 0 else (digits * scale, 0)
    if lost:
        raise ValueError("expected an amount in US dollars with at most 9 decimals")
    return -nano_usd if sign == "-" else nano_usd
