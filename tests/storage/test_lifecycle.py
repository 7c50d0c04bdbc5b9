"""The table of states is the contract's."""

from storage.lifecycle import ERROR_CODES, TRANSITIONS, Event, Status, sources, target

LEGAL = [
    ("pending", "accepted", "processing"),
    ("pending", "progressed", "processing"),
    ("processing", "progressed", "processing"),
    ("pending", "completed", "completed"),
    ("processing", "completed", "completed"),
    ("failed", "completed", "completed"),
    *[
        (status, event, "failed")
        for event in ("failed", "deadline_passed", "failed_by_admin", "canceled")
        for status in ("pending", "processing")
    ],
    ("pending", "refused", "failed"),
    ("pending", "exhausted", "failed"),
]


def test_the_table_is_the_contract() -> None:
    assert set(TRANSITIONS) == {(Status(a), Event(event), Status(b)) for a, event, b in LEGAL}


def test_completed_is_the_only_absorbing_status() -> None:
    absorbing = {status for status in Status if all(target(status, event) is None for event in Event)}
    assert absorbing == {Status.COMPLETED}


def test_nothing_goes_back_to_pending() -> None:
    assert not [source for source, _, after in TRANSITIONS if after is Status.PENDING]


def test_every_failing_event_has_a_public_code() -> None:
    failing = {event for _, event, after in TRANSITIONS if after is Status.FAILED}
    assert set(ERROR_CODES) == failing
    assert sources(Event.ACCEPTED) == (Status.PENDING,)
