"""What a process knows of requests: whose they are, and what was offered."""

import pytest

from gateway.realtime import known_requests
from gateway.realtime.known_requests import KnownRequests


def test_what_was_offered_is_remembered_until_it_is_set_back() -> None:
    known = KnownRequests()
    known.add("a", "ada").offered = 3
    known.add("b", "ada").offered = 2
    assert (known.offered("a"), known.offered("b"), known.offered("c")) == (3, 2, 0)
    known.add("a", "ada")
    assert known.offered("a") == 3, "it is known already"
    known.set_back("a")
    known.set_back("c")
    assert (known.offered("a"), known.offered("b")) == (0, 2)
    known.set_all_back()
    assert known.offered("b") == 0


def test_of_a_request_with_another_owner_nothing_is_known() -> None:
    known = KnownRequests()
    known.add("a", "ada").offered = 3
    assert known.add("a", "eve").user_id == "eve"
    assert known.offered("a") == 0


def test_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_requests, "MAX_KNOWN", 3)
    known = KnownRequests()
    for number in range(5):
        known.add(str(number), "ada")
    assert list(known._requests) == ["2", "3", "4"]
    assert known.add("2", "ada") is known.get("2")
    assert list(known._requests) == ["2", "3", "4"]
