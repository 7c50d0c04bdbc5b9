"""Kinds of settings: numbers with bounds, and lists."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

DAY = 24 * 3600.0


def _currency(value: str) -> str:
    if not re.fullmatch("[A-Z]{3}", value):
        raise ValueError("must be a currency's code of three letters (ISO 4217), such as USD or EUR")
    return value


Separated = Annotated[tuple[str, ...], NoDecode]
"""A comma-separated list."""

Seconds = Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)]
"""A time that somebody waits."""

Deadline = Annotated[float, Field(ge=0.1, le=30 * DAY, allow_inf_nan=False)]
"""A time that a request may take."""

Amount = Annotated[Decimal, Field(ge=0, le=1_000_000_000, decimal_places=9, allow_inf_nan=False)]
"""An amount of money, in whatever currency."""

Currency = Annotated[
    str, BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value), AfterValidator(_currency)
]
"""The code of a currency (ISO 4217)."""

Limit = Annotated[int, Field(ge=1, le=1_000_000)]
"""How many there may be at once."""


def each(check: Callable[[str], str]) -> AfterValidator:
    """Apply `check` to each entry of a list."""
    return AfterValidator(lambda values: tuple(map(check, values)))


def unless_empty(check: Callable[[str], str]) -> AfterValidator:
    """Apply `check` to what is set."""
    return AfterValidator(lambda value: check(value) if value else value)
