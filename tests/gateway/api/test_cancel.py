"""`POST /api/ai-requests/{requestId}/cancel`, and `Cancel-After` at the submission."""

import asyncio
from decimal import Decimal
from typing import Any

import httpx
import pytest

from gateway.n8n import retries, stopping
from gateway.settings import Settings
from storage import cancellations
from storage.transitions import Outcome
from tests import scripted_n8n
from tests.conftest import People, Person, parsing_only
from tests.running import RunningGateway, eventually, receive, running_gateway, send
from tests.scripted_n8n import ScriptedN8n

DONE = {"status": "completed", "Key": "b/a.png", "Id": "1"}


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(stopping, "DRAIN_POLL_SECONDS", 0.05)
    return settings.model_copy(update={"ai_generation_cost": Decimal("0.10")})


async def cancel(gateway: RunningGateway, user_id: str, request_id: str, *, admin: bool = False) -> httpx.Response:
    headers = {"Authorization": f"Bearer {gateway.token(user_id, admin=admin)}"}
    return await gateway.http.post(f"/api/ai-requests/{request_id}/cancel", headers=headers)


async def events(gateway: RunningGateway, request_id: str) -> list[tuple[str, str]]:
    query = "SELECT kind, actor FROM ai_request_events WHERE request_id = :id ORDER BY id"
    return [(row["kind"], row["actor"]) for row in await gateway.state.database.all(query, id=request_id)]


async def reserved(gateway: RunningGateway, person: Person) -> Decimal:
    usage = await gateway.http.get("/api/usage", headers=gateway.bearer(person.id))
    return Decimal(usage.json()["month"]["reserved"])


async def test_what_was_not_sent_is_never_sent_and_costs_nothing(
    settings: Settings, users_table: str, n8n: ScriptedN8n
) -> None:
    async with running_gateway(settings, worker=False) as front:
        ada = await People(front.state.database, users_table).person()
        request_id = await front.submitted(ada.id)
        assert await reserved(front, ada) == Decimal("0.10")
        answer = await cancel(front, ada.id, request_id)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (body["status"], body["errorCode"], body["errorMessage"]) == ("failed", "canceled", "Canceled.")
        assert (body["version"], body["cost"]) == (2, None)
        assert body["completedAt"] is not None
        assert await reserved(front, ada) == 0, "its reservation is released"
        assert await events(front, request_id) == [
            ("submitted", f"user:{ada.id}"),
            ("canceled", f"user:{ada.id}"),
        ]
        later = await front.submitted(ada.id)
    async with running_gateway(settings) as worker:
        await n8n.until_received(later)  # submitted later, so this one's turn has passed
        await worker.until(ada.id, later, "processing")
    assert n8n.times(request_id) == 0


async def test_under_way_it_fails_and_late_news_change_nothing(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n
) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    body = (await cancel(gateway, ada.id, request_id)).json()
    for news in ({"status": "processing", "progress": 70}, {"status": "failed", "error": "stopped"}):
        assert (await gateway.callback({"requestId": request_id, **news})).status_code == 200
    assert await gateway.body(ada.id, request_id) == body
    assert n8n.times(request_id) == 1


async def test_a_picture_that_still_comes_wins(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    assert (await cancel(gateway, ada.id, request_id)).status_code == 200
    assert (await gateway.callback({"requestId": request_id, **DONE})).json() == {"success": True}
    body = await gateway.body(ada.id, request_id)
    assert (body["status"], body["errorCode"], body["cost"]) == ("completed", None, "0.10")
    refused = await cancel(gateway, ada.id, request_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "already_final")
    assert await gateway.body(ada.id, request_id) == body


async def test_a_repeat_answers_the_same(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    answers = await asyncio.gather(*(cancel(gateway, ada.id, request_id) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert [kind for kind, _ in await events(gateway, request_id)].count("canceled") == 1


async def test_what_failed_otherwise_stays_as_it_is(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.callback({"requestId": request_id, "status": "failed", "error": "no credits"})
    before = await gateway.body(ada.id, request_id)
    refused = await cancel(gateway, ada.id, request_id)
    assert refused.status_code == 409
    assert refused.json() == {
        "error": "The request has already failed, so it cannot be canceled.",
        "code": "already_final",
    }
    assert await gateway.body(ada.id, request_id) == before


async def test_the_owner_and_administrators_alone(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    for foreign in (await cancel(gateway, eve.id, request_id), await cancel(gateway, ada.id, "no-id")):
        assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
    unknown = await cancel(gateway, ada.id, "00000000-0000-4000-8000-000000000000")
    assert unknown.status_code == 404
    assert (await gateway.http.post(f"/api/ai-requests/{request_id}/cancel")).status_code == 401
    assert (await gateway.body(ada.id, request_id))["status"] != "failed"
    assert (await cancel(gateway, eve.id, request_id, admin=True)).status_code == 200
    assert ("canceled", f"admin:{eve.id}") in await events(gateway, request_id)


async def test_whoever_watches_sees_it(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    async with gateway.watching(ada.id) as websocket:
        await send(websocket, type="subscribe", requestIds=[request_id])
        assert (await receive(websocket))["type"] == "subscribed"
        canceled = (await cancel(gateway, ada.id, request_id)).json()
        seen: dict[str, Any] = {}
        while seen.get("version") != canceled["version"]:
            message = await receive(websocket)
            assert message["type"] == "update"
            seen = message["request"]
    assert seen == canceled


async def test_between_two_attempts_nothing_is_sent_any_more(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "FIRST_RETRY_SECONDS", 0.2)
    n8n.answers(scripted_n8n.DATABASE_LOST)
    request_id = await gateway.submitted(ada.id)
    await n8n.until_received(request_id)
    assert (await cancel(gateway, ada.id, request_id)).status_code == 200
    row = await gateway.state.database.one(
        "SELECT dispatch_due_at FROM ai_image_requests WHERE id = :id", id=request_id
    )
    assert row is not None
    assert row["dispatch_due_at"] is None
    times = n8n.times(request_id)
    n8n.answers(scripted_n8n.STARTED)
    later = await gateway.submitted(ada.id)
    await gateway.until(ada.id, later, "processing")
    assert n8n.times(request_id) == times


async def test_cancel_after_does_it_by_itself(gateway: RunningGateway, ada: Person) -> None:
    answer = await gateway.submit(ada.id, **{"Cancel-After": "1"})
    request_id = answer.json()["requestId"]
    body = await gateway.until(ada.id, request_id, "failed")
    assert (body["errorCode"], body["errorMessage"]) == ("canceled", "Canceled.")
    assert ("canceled", "cancellation") in await events(gateway, request_id)


async def test_cancel_after_does_nothing_to_what_has_ended(gateway: RunningGateway, ada: Person) -> None:
    first = (await gateway.submit(ada.id, **{"Cancel-After": "1"})).json()["requestId"]
    await gateway.callback({"requestId": first, **DONE})
    done = await gateway.body(ada.id, first)
    second = (await gateway.submit(ada.id, **{"Cancel-After": "1"})).json()["requestId"]
    await gateway.until(ada.id, second, "failed")  # due later than the first, and so judged after it
    assert await gateway.body(ada.id, first) == done


@parsing_only
@pytest.mark.parametrize("text", ["0", "-1", "1.5", "soon", "86401", ""])
async def test_an_unusable_cancel_after_is_refused(gateway: RunningGateway, ada: Person, text: str) -> None:
    refused = await gateway.submit(ada.id, **{"Cancel-After": text})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_cancel_after")
    listed = await gateway.http.get("/api/ai-requests", headers=gateway.bearer(ada.id))
    assert listed.json()["requests"] == []


async def test_one_of_two_processes_cancels_what_is_due(settings: Settings, users_table: str) -> None:
    async with running_gateway(settings, worker=False) as front:
        database = front.state.database
        ada = await People(database, users_table).person()
        request_id = (await front.submit(ada.id, **{"Cancel-After": "1"})).json()["requestId"]

        async def is_due() -> bool:
            return request_id in await cancellations.due(database, 10)

        await eventually(is_due)
        outcomes = await asyncio.gather(*(cancellations.cancel(database, request_id, actor="test") for _ in range(2)))
        assert sorted(one.outcome.value for one in outcomes) == [Outcome.CHANGED.value, Outcome.DUPLICATE.value]
