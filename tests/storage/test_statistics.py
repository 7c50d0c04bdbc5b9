"""What the dashboard shows is what happened."""

from decimal import Decimal

import pytest

from storage import statistics, transitions
from storage.database.base import Database
from storage.lifecycle import Event
from storage.public_urls import PublicUrls
from storage.statistics import Durations, durations_of
from storage.submissions import Submission, submit
from storage.transitions import Completion
from tests.people import People

URLS = PublicUrls("https://store.example.com", "https://gateway.example.com")


@pytest.mark.parametrize(
    ("counted", "durations"),
    [
        ({}, Durations(None, None, None)),
        ({3.0: 1}, Durations(3.0, 3.0, 3.0)),
        ({1.0: 50, 2.0: 45, 100.0: 5}, Durations(6.4, 1.0, 2.0)),
    ],
)
def test_durations(counted: dict[float, int], durations: Durations) -> None:
    assert durations_of(counted) == durations


async def test_a_summary_and_the_queue(database: Database, users_table: str) -> None:
    person = await People(database, users_table).person()
    submission = Submission(user_id=person.id, product="Shoes", brand="Nike")
    made = [(await submit(database, submission, quota=10, deadline_seconds=900)).request.id for _ in range(5)]
    for number in (0, 1):
        completion = Completion(f"b/{number}.png", str(number), Decimal("0.10"))
        await transitions.complete(database, made[number], completion, URLS, actor="n8n")
    await transitions.fail(database, made[2], Event.FAILED, "It broke", actor="n8n")
    await transitions.start(database, made[3], Event.ACCEPTED, actor="n8n")
    found = await statistics.summarize(database, 3600)
    spans = list(found.by_hour.values())
    assert sum(sum(span.statuses.values()) for span in spans) == 5
    assert sum(span.cost for span in spans) == Decimal("0.20")
    assert found.errors == {"generation_failed": 1}
    assert [(share.id, share.requests, share.cost) for share in found.users] == [(person.id, 5, Decimal("0.20"))]
    assert [share.id for share in found.organizations] == list(person.organizations)
    queue = await statistics.queue(database, -1.0)
    assert (queue.waiting, queue.sending, queue.processing, queue.stuck) == (1, 0, 1, 1)
    assert (await statistics.queue(database, 60.0)).stuck == 0
