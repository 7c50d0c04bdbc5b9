"""The life of a request, as one table.

Theory of operation
-------------------
A request has one of four statuses. Something happens to it (an `Event`): n8n accepts it, reports progress,
delivers, or fails; the gateway gives up; an administrator ends it; it is canceled. `TRANSITIONS` lists every change
that an event may make; whatever is not listed changes nothing.

Three rules can be read off the table:

* only ``completed`` is absorbing: a picture that arrives after a failure exists and was paid for, so it wins;
* nothing goes back to ``pending``;
* a late answer of n8n never overwrites what a callback has said, because what answers cause (``accepted``,
  ``refused``, ``exhausted``) starts from ``pending`` alone.

The database decides races: every change is one ``UPDATE … WHERE status IN (sources(event)) … RETURNING``, whose
guard is made from this table. So the table is the only place to change a rule.
"""

from enum import StrEnum


class Status(StrEnum):
    """What a request is at."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"

    def __init__(self, value: str) -> None:
        self.is_final = value in ("completed", "failed")
        """Whether nothing more is expected (a failure may still turn into a completion)."""


class Event(StrEnum):
    """What can happen to a request; also the `kind` of its row in the events table."""

    ACCEPTED = "accepted"
    PROGRESSED = "progressed"
    COMPLETED = "completed"
    FAILED = "failed"
    REFUSED = "refused"
    EXHAUSTED = "exhausted"
    DEADLINE_PASSED = "deadline_passed"
    FAILED_BY_ADMIN = "failed_by_admin"
    CANCELED = "canceled"


_OPEN = (Status.PENDING, Status.PROCESSING)

TRANSITIONS: tuple[tuple[Status, Event, Status], ...] = (
    (Status.PENDING, Event.ACCEPTED, Status.PROCESSING),
    (Status.PENDING, Event.PROGRESSED, Status.PROCESSING),
    (Status.PROCESSING, Event.PROGRESSED, Status.PROCESSING),  # only to a higher progress
    *((status, Event.COMPLETED, Status.COMPLETED) for status in (*_OPEN, Status.FAILED)),
    (Status.PENDING, Event.REFUSED, Status.FAILED),
    (Status.PENDING, Event.EXHAUSTED, Status.FAILED),
    *(
        (status, event, Status.FAILED)
        for event in (Event.FAILED, Event.DEADLINE_PASSED, Event.FAILED_BY_ADMIN, Event.CANCELED)
        for status in _OPEN
    ),
)

ERROR_CODES: dict[Event, str] = {
    Event.FAILED: "generation_failed",
    Event.REFUSED: "dispatch_refused",
    Event.EXHAUSTED: "dispatch_exhausted",
    Event.DEADLINE_PASSED: "deadline",
    Event.FAILED_BY_ADMIN: "failed_by_admin",
    Event.CANCELED: "canceled",
}
"""The public `errorCode` that each failing event leaves on the request."""


def sources(event: Event) -> tuple[Status, ...]:
    """The statuses in which `event` changes the request, in the table's order."""
    return tuple(source for source, cause, _ in TRANSITIONS if cause is event)


def target(status: Status, event: Event) -> Status | None:
    """The status after `event`, or None when the event changes nothing in `status`."""
    return next((after for before, cause, after in TRANSITIONS if before is status and cause is event), None)
