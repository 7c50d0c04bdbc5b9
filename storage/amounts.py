"""Amounts of money as either database returns them. Other tools write there too: what is no amount counts as none."""

from decimal import Decimal, DecimalException

BOUND = 10**15
"""An amount is less than it, either way. Beyond lie mistakes, and numbers that take a megabyte to write out."""

_DECIMALS = 100
"""Most decimals of an amount."""


def amount_or_none(value: object) -> Decimal | None:
    """The amount in a column: a decimal, or on SQLite its text. None where there is none: NaN, Infinity, ``free``."""
    if not isinstance(value, Decimal | str | int | float):
        return None
    try:
        amount = Decimal(value)
    except (DecimalException, ValueError):
        return None
    if not (amount.is_finite() and -BOUND < amount < BOUND):
        return None
    exponent = amount.as_tuple().exponent
    return amount if isinstance(exponent, int) and exponent >= -_DECIMALS else None


def amount_of(total: Decimal | str | None) -> Decimal:
    """What the word `TOTAL` returns: a sum, or on SQLite the amounts themselves."""
    if not isinstance(total, str):
        return Decimal(total or 0)
    amounts = map(amount_or_none, total.split())
    return sum((amount for amount in amounts if amount is not None), Decimal(0))
