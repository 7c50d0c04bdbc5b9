"""The search for a report in what somebody sent: what is found, and where it ends."""

import itertools
from typing import Any

import pytest

from gateway.n8n import decoding
from gateway.n8n.decoding import MAX_VISITED, decode, reports_in

REPORT = {"status": "failed", "error": "x"}


def lists(values: int, *last: object) -> list[list[object]]:
    """Lists of a hundred that hold nothing: with themselves they are `values`, and `last` comes behind them."""
    noise: list[list[object]] = [[7] * 99 for _ in range((values - 1) // 100)]
    noise.append([7] * ((values - 1) % 100 - 1))
    return [*noise, [*last]] if last else noise


def test_the_search_ends_at_its_bound() -> None:
    # Before the report come `values`, and the list that holds it.
    assert list(reports_in(lists(MAX_VISITED - 2, REPORT))) == [REPORT]
    assert list(reports_in(lists(MAX_VISITED - 1, REPORT))) == []


@pytest.mark.parametrize(
    "content",
    [
        [["{"] * 1000] * 250,
        [[[["{"] * 1000] * 10] * 5] * 5,
        [{"data": ["{"] * 1000}] * 250,
        [{"json": {"body": "{", "data": "["}, "output": '"'}] * 1000,
        ['["{", "{", "{", "{"]'] * 1000,
    ],
)
def test_no_more_texts_are_decoded_than_values_visited(content: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """250,000 of them, in one megabyte that anyone may send, took seconds."""
    decoded = itertools.count()

    def counted(text: bytes) -> Any:
        next(decoded)
        return decode(text)

    monkeypatch.setattr(decoding, "decode", counted)
    assert not any(reports_in(content))
    assert 1000 < next(decoded) <= MAX_VISITED
