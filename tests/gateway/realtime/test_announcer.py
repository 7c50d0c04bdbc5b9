"""From a committed change to the bus: what changed something is published and logged, and nothing else is."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.realtime.announcer import Announcer
from gateway.realtime.update import Update
from storage.database.base import Database
from storage.lifecycle import Event
from storage.public_urls import PublicUrls
from storage.request import Request
from storage.submissions import Submission, submit
from storage.transitions import Applied, Outcome, start
from tests.gateway.realtime.doubles import BusDouble, Heard
from tests.people import People

URLS = PublicUrls("https://project.example", "https://gateway.example", frozenset())


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def published(heard: Heard) -> list[Update]:
    return heard.updates


@pytest.fixture
def announcer(heard: Heard) -> Announcer:
    bus = BusDouble()
    bus.listener = heard
    return Announcer(bus, URLS)


@pytest.fixture
async def request_made(database: Database, users_table: str) -> Request:
    person = await People(database, users_table).person()
    submission = Submission(user_id=person.id, product="Shoes", brand="Nike")
    return (await submit(database, submission, quota=10, deadline_seconds=900)).request


async def test_a_change_is_published_as_the_body_that_clients_read(
    database: Database, request_made: Request, announcer: Announcer, published: list[Update], caplog: Any
) -> None:
    caplog.set_level("INFO")
    before = datetime.now(UTC).timestamp()
    applied = await start(database, request_made.id, Event.PROGRESSED, actor="test", progress=40)
    announcer.announce_change(applied, actor="test")
    (update,) = published
    assert applied.request is not None
    assert (update.request_id, update.user_id, update.version) == (request_made.id, request_made.user_id, 2)
    assert update.body == Update.of(applied.request, URLS).body
    assert before <= update.at <= datetime.now(UTC).timestamp()
    assert "changed" in caplog.text
    assert request_made.id in caplog.text


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.CHANGED])
async def test_what_changed_nothing_is_not_published(
    request_made: Request, announcer: Announcer, published: list[Update], outcome: Outcome
) -> None:
    announcer.announce_change(Applied(outcome, None if outcome is Outcome.UNKNOWN else request_made), actor="test")
    assert published == []
