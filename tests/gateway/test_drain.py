"""The orderly end of a process: once, announced to whoever has something to end, and never longer than it may take."""

import time

import pytest

from gateway.drain import Drain


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic time, as the list's only item."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_it_begins_once_and_tells_everyone_in_order(clock: list[float]) -> None:
    drain = Drain(10.0)
    told: list[str] = []
    drain.on_begin(lambda: told.append("hub"))
    drain.on_begin(lambda: told.append("dispatcher"))
    assert told == []
    drain.begin()
    clock[0] += 4.0
    drain.begin()
    assert drain.begun
    assert told == ["hub", "dispatcher"]
    assert drain.seconds_left() == 6.0, "a second beginning gives no more time"


def test_what_is_left_never_falls_below_nothing(clock: list[float]) -> None:
    drain = Drain(10.0)
    clock[0] += 100.0
    assert drain.seconds_left() == 10.0, "all of it before the process stops"
    drain.begin()
    clock[0] += 10.5
    assert drain.seconds_left() == 0.0


def test_who_looks_while_it_begins_sees_that_it_has_begun() -> None:
    drain = Drain(0.0)
    seen: list[bool] = []
    drain.on_begin(lambda: seen.append(drain.begun))
    drain.begin()
    assert seen == [True]
