"""The judge itself, on histories with one fault each: it must catch every one, and accept a clean one."""

from dataclasses import replace

import pytest

from tests.faults.history import History, Seen, Truth, judge, seconds_until_whole


def seen(version: int, status: str = "processing", *, client: str = "c1", connection: int = 1, at: float = 1.0) -> Seen:
    return Seen(client, "ada", "websocket", connection, "r1", version, status, at)


def clean() -> History:
    return History(
        seen=[seen(1, "pending"), seen(2), seen(4, "completed", at=3.0), seen(4, "completed", connection=2, at=4.0)],
        accepted={"r1": "ada"},
        watching={"c1": {"r1"}},
        sent={"r1": 1},
        truth={"r1": Truth("r1", "ada", 4, "completed", 1)},
        healed_at=2.5,
    )


def test_a_clean_history_is_clean() -> None:
    assert judge(clean(), within=1.0) == []
    assert seconds_until_whole(clean()) == {"websocket": 0.5}


def backward(history: History) -> None:
    history.seen.append(seen(3, connection=3))


def repeated_on_one_connection(history: History) -> None:
    history.seen.insert(2, seen(2))


def never_seen(history: History) -> None:
    history.seen = history.seen[:2]


def seen_too_late(history: History) -> None:
    history.seen = [*history.seen[:2], seen(4, "completed", at=9.0)]


def a_client_that_saw_nothing(history: History) -> None:
    history.watching["c2"] = {"r1"}


def foreign(history: History) -> None:
    history.seen.append(replace(seen(4, "completed", client="c9"), user="eve"))


def two_assets(history: History) -> None:
    history.truth["r1"] = Truth("r1", "ada", 4, "completed", 2)


def no_asset(history: History) -> None:
    history.truth["r1"] = Truth("r1", "ada", 4, "completed", 0)


def an_asset_of_a_failure(history: History) -> None:
    history.truth["r1"] = Truth("r1", "ada", 4, "failed", 1)


def lost(history: History) -> None:
    history.accepted["r2"] = "ada"


def never_ended(history: History) -> None:
    history.truth["r1"] = Truth("r1", "ada", 4, "processing", 0)


def sent_twice(history: History) -> None:
    history.sent["r1"] = 2


def a_cancellation_that_did_not_last(history: History) -> None:
    history.canceled.add("r1")
    history.truth["r1"] = Truth("r1", "ada", 4, "failed", 0, "deadline")


def sent_after_its_cancellation(history: History) -> None:
    history.canceled.add("r1")
    history.truth["r1"] = Truth("r1", "ada", 4, "failed", 0, "canceled", marked=False)


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        (backward, "backward"),
        (repeated_on_one_connection, "backward"),
        (never_seen, "stale"),
        (seen_too_late, "stale"),
        (a_client_that_saw_nothing, "stale"),
        (foreign, "foreign"),
        (two_assets, "assets"),
        (no_asset, "assets"),
        (an_asset_of_a_failure, "assets"),
        (lost, "lost"),
        (never_ended, "lost"),
        (sent_twice, "sent twice"),
        (a_cancellation_that_did_not_last, "canceled"),
        (sent_after_its_cancellation, "canceled"),
    ],
)
def test_each_fault_is_caught(fault: object, rule: str) -> None:
    history = clean()
    assert callable(fault)
    fault(history)
    assert {violation.rule for violation in judge(history, within=1.0)} == {rule}
