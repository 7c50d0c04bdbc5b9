"""A row with what no column should hold, as other tools write it, is nobody's loss."""

import asyncio
from typing import Any

import pytest

from gateway.realtime import hub
from gateway.settings import Settings
from storage import cancellations, dispatch, listing, probes
from storage.database.base import Database
from tests.people import Person
from tests.running import SECONDS, RunningGateway, receive, running_gateway, send

ODD = {
    "sqlite": ("1769860800000", 1769860800000, "31.01.2026 12:00", "Sat Jan 31 2026 12:00:00 GMT+0100", "infinity"),
    "postgres": ("294276-01-01", "0044-03-15 BC", "infinity", "-infinity", "9999-12-31 23:59:59.999999+00"),
}
TIMES = [(backend, value) for backend, values in ODD.items() for value in values]

HALF_A_CHARACTER = "char(55357)"
OTHERS = [  # SQLite keeps whatever it is given
    *((column, "x'ff00'") for column in ("product", "storage_key", "version", "dispatch_attempts")),
    *((column, HALF_A_CHARACTER) for column in ("product", "storage_key", "error_code", "n8n_execution_id")),
    *((column, "'many'") for column in ("version", "dispatch_attempts", "cost")),
    ("version", "''"),
    ("request_metadata", "'['"),
]


@pytest.fixture
async def gateway(settings: Settings) -> Any:
    """No dispatcher or sweeper takes the rows away."""
    async with running_gateway(settings, worker=False) as running:
        yield running


async def set_column(database: Database, request_id: str, column: str, literal: str) -> None:
    await database.all(f"UPDATE ai_image_requests SET {column} = {literal} WHERE id = :id", id=request_id)


def literal_of(time: object) -> str:
    return str(time) if isinstance(time, int) else f"'{time}'"


@pytest.mark.parametrize(
    ("backend", "column", "literal"),
    [
        *((backend, "created_at", literal_of(time)) for backend, time in TIMES),
        *(("sqlite", column, literal) for column, literal in OTHERS),
    ],
    indirect=["backend"],
)
async def test_everything_answers_beside_such_a_row(
    gateway: RunningGateway, ada: Person, eve: Person, column: str, literal: str
) -> None:
    database = gateway.state.database
    odd, other = await gateway.submitted(ada.id), await gateway.submitted(eve.id)
    await set_column(database, odd, column, literal)
    bearer, admin = gateway.bearer(ada.id), {"Authorization": f"Bearer {gateway.token(eve.id, admin=True)}"}

    claimed = {request.id: request for request in await dispatch.claim(database, "lease", 10)}
    assert set(claimed) == {odd, other}
    for request_id in claimed:
        assert await dispatch.mark_sending(database, request_id, "lease", 100.0) is not None
    assert (await gateway.body(ada.id, odd))["requestId"] == odd
    async with gateway.watching(ada.id) as websocket:
        await send(websocket, type="subscribe", requestId=odd)
        await receive(websocket)
        await gateway.state.hub.reconcile()
    again = await gateway.submitted(ada.id)
    picture = {"status": "completed", "Key": "b/a.png", "Id": "1", "cost": "0.5"}
    for request_id in (odd, other):
        assert (await gateway.callback({"requestId": request_id, **picture})).status_code == 200
    if column == "storage_key":
        await set_column(database, odd, column, literal)

    async def answer(path: str, headers: dict[str, str] = bearer) -> Any:
        found = await gateway.http.get(path, headers=headers)
        assert found.status_code == 200, (path, found.text)
        return found.json()

    assert {one["requestId"] for one in (await answer("/api/ai-requests"))["requests"]} == {odd, again}
    assert [one["requestId"] for one in (await answer("/api/assets"))["assets"]] == [odd]
    assert 0 <= (await answer("/api/usage"))["limit"]["resetSeconds"] <= 3600
    for sort in ("time", "duration", "cost"):
        for order in ("asc", "desc"):
            path = f"/api/admin/requests?sort={sort}&order={order}"
            listed = (await answer(path, admin))["requests"]
            assert {one["requestId"] for one in listed} == {odd, other, again}
            await answer(path.replace("?", "/export.json?"), admin)
    await answer(f"/api/admin/requests/{odd}", admin)
    assert (await answer("/api/admin/stats", admin))["seconds"]["mean"] >= 0


@pytest.mark.parametrize(("backend", "value"), TIMES, indirect=["backend"])
async def test_no_column_holds_up_what_is_taken_together(
    gateway: RunningGateway, ada: Person, eve: Person, value: object
) -> None:
    database = gateway.state.database
    due = "UPDATE ai_image_requests SET dispatch_sending_at = NOW(), probe_at = NOW(), stop_at = NOW()"
    odd, other = await gateway.submitted(ada.id), await gateway.submitted(eve.id)
    await database.all(due)
    for column in ("created_at", "completed_at", "deadline_at", "dispatch_sending_at", "updated_at"):
        await set_column(database, odd, column, literal_of(value))
    assert {probe.request.id for probe in await probes.claim_probes(database, 10)} == {odd, other}
    assert {stop.request.id for stop in await cancellations.claim_stops(database, 10)} == {odd, other}
    async with gateway.watching(eve.id, admin=True):
        await gateway.state.hub.reconcile()
    assert (await gateway.body(ada.id, odd))["completedAt"] is not None


@pytest.mark.parametrize(("backend", "value"), TIMES, indirect=["backend"])
async def test_pages_come_to_an_end(gateway: RunningGateway, ada: Person, backend: str, value: object) -> None:
    database = gateway.state.database
    made = [await gateway.submitted(ada.id) for _ in range(3)]
    for request_id in made[:2]:
        await set_column(database, request_id, "created_at", literal_of(value))
    found: list[str] = []
    position: listing.Position | None = listing.START
    while position is not None:
        assert len(found) <= len(made)
        page = await listing.requests_of(database, ada.id, None, position, 1)
        found += [request.id for request in page.rows]
        position = page.next
    assert made[2] in found
    assert len(set(found)) == len(found)
    assert len(found) == len(made) or backend == "postgres"  # two that lie before, or after, Python's calendar


async def test_reconciling_comes_to_an_end(
    gateway: RunningGateway, ada: Person, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "PAGE", 1)
    odd = await gateway.submitted(ada.id)
    later = "'31.01.2026 12:00'" if backend == "sqlite" else "CAST('infinity' AS timestamptz)"
    trigger = "SELECT 1" if backend == "sqlite" else "ALTER TABLE ai_image_requests DISABLE TRIGGER USER"
    await gateway.state.database.all(trigger)
    try:
        await gateway.state.database.all(f"UPDATE ai_image_requests SET updated_at = {later} WHERE id = :id", id=odd)
    finally:
        await gateway.state.database.all(trigger.replace("DISABLE", "ENABLE"))
    async with gateway.watching(ada.id), asyncio.timeout(SECONDS):
        await gateway.state.hub.reconcile()
