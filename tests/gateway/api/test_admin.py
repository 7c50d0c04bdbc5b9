"""What administrators see and do."""

import asyncio
import uuid
from decimal import Decimal
from typing import Any

import pytest

from gateway.alerting import heartbeat
from gateway.api.admin import statistics as admin_statistics
from gateway.realtime import receipts
from gateway.settings import Settings
from storage import statistics as storage_statistics
from storage.statistics import durations_of
from tests.people import Person, parsing_only
from tests.running import RunningGateway, receive, send
from tests.scripted_n8n import ScriptedN8n

DONE = {"status": "completed", "Key": "b/a.png", "Id": "1"}


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(admin_statistics, "FRESH_SECONDS", 0.0)
    return settings.model_copy(update={"ai_generation_rate_limit_per_hour": 100, "ai_generation_cost": Decimal("0.04")})


ADMIN = str(uuid.uuid4())


async def get(gateway: RunningGateway, path: str, **query: str) -> Any:
    headers = {"Authorization": f"Bearer {gateway.token(ADMIN, admin=True)}"}
    answer = await gateway.http.get(f"/api/admin/{path}", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def post(gateway: RunningGateway, path: str, body: Any = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {gateway.token(ADMIN, admin=True)}"}
    answer = (
        await gateway.http.post(f"/api/admin/{path}", json=body, headers=headers)
        if body is not None
        else (await gateway.http.post(f"/api/admin/{path}", headers=headers))
    )
    return answer.status_code, answer.json()


async def ended(gateway: RunningGateway, person: Person, **news: Any) -> str:
    request_id = await gateway.submitted(person.id)
    await gateway.callback({"requestId": request_id, **news})
    return request_id


PATHS = ["stats", "requests", "requests/99999999-9999-4999-8999-999999999999"]


@parsing_only
@pytest.mark.parametrize("path", [*PATHS, "requests/x/retry", "requests/x/fail"])
async def test_administrators_only(gateway: RunningGateway, ada: Person, path: str) -> None:
    method = "GET" if path in PATHS else "POST"
    nobody = await gateway.http.request(method, f"/api/admin/{path}")
    assert nobody.status_code == 401
    user = await gateway.http.request(method, f"/api/admin/{path}", headers=gateway.bearer(ada.id))
    assert (user.status_code, user.json()["code"]) == (403, "forbidden")


async def test_statistics(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    for _ in range(3):
        await ended(gateway, ada, **DONE)
    await ended(gateway, eve, **DONE, cost="1.5")
    await ended(gateway, eve, status="failed", error="x")
    waiting = await gateway.submitted(eve.id)
    await gateway.until(eve.id, waiting, "processing")
    stats = await get(gateway, "stats", days="3")
    assert stats["totals"] == {
        "requests": 6,
        "completed": 4,
        "failed": 1,
        "pending": 0,
        "processing": 1,
        "cost": "1.62",
    }
    assert stats["successRate"] == 0.8
    assert stats["errors"] == {"generation_failed": 1}
    assert [len(stats[name]) for name in ("byHour", "byDay")] == [48, 4], "3 times 24 hours touch 4 days"
    for name in ("byHour", "byDay"):
        assert sum(entry["requests"] for entry in stats[name]) == 6
        assert stats[name][-1]["completed"] == 4 or sum(entry["completed"] for entry in stats[name][-2:]) == 4
    assert stats["byUser"] == [
        {"userId": eve.id, "name": None, "requests": 3, "cost": "1.5"},
        {"userId": ada.id, "name": None, "requests": 3, "cost": "0.12"},
    ]
    assert stats["byOrganization"][0] == {
        "organizationId": eve.organizations[0],
        "name": "Acme",
        "requests": 3,
        "cost": "1.5",
    }
    assert stats["queue"]["processing"] == 1
    assert stats["queue"]["stuck"] == 0
    assert 0 <= stats["seconds"]["p50"] <= stats["seconds"]["p95"] < 15
    await gateway.state.database.all("UPDATE ai_image_requests SET dispatch_sending_at = AFTER(:s)", s=-301.0)
    assert (await get(gateway, "stats"))["queue"]["stuck"] == 1
    assert [one["requestId"] for one in (await get(gateway, "requests", status="stuck"))["requests"]] == [waiting]


@pytest.mark.parametrize("days", [1, 2, 7])
async def test_the_days_add_up_to_the_totals(gateway: RunningGateway, ada: Person, days: int) -> None:
    """Whatever the hour is: the first day counts in part, in the charts as in the totals."""
    database = gateway.state.database
    for age in (0, 86_300 * days, 86_390 * days, 86_500 * days):
        request_id = await ended(gateway, ada, **DONE)
        await database.all("UPDATE ai_image_requests SET created_at = AFTER(:s) WHERE id = :id", s=-age, id=request_id)
    stats = await get(gateway, "stats", days=str(days))
    assert stats["totals"]["requests"] == 3
    assert sum(day["requests"] for day in stats["byDay"]) == 3
    assert sum(Decimal(day["cost"]) for day in stats["byDay"]) == Decimal(stats["totals"]["cost"])
    if days == 1:
        assert sum(hour["requests"] for hour in stats["byHour"]) == 3


async def test_the_dearest_come_first(
    gateway: RunningGateway, ada: Person, eve: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_statistics, "TOP", 1)
    await ended(gateway, eve, **DONE, cost="1000")
    for _ in range(3):
        await ended(gateway, ada, **DONE, cost="9")
    stats = await get(gateway, "stats")
    assert stats["byUser"] == [{"userId": eve.id, "name": None, "requests": 1, "cost": "1000"}]
    assert stats["byOrganization"][0]["cost"] == "1000"


async def test_many_who_ask_at_once_cost_one_answer(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, ask = [], storage_statistics.summarize

    async def counted(*arguments: Any) -> Any:
        asked.append(arguments)
        return await ask(*arguments)

    monkeypatch.setattr(storage_statistics, "summarize", counted)
    await asyncio.gather(*(get(gateway, "stats", days="5") for _ in range(20)))
    assert len(asked) < 20


def test_percentiles_by_nearest_rank() -> None:
    found = durations_of({float(second): 1 for second in range(1, 101)})
    assert (found.mean, found.p50, found.p95) == (50.5, 50.0, 95.0)
    assert durations_of({3.0: 7}) == durations_of({3.0: 1})
    assert durations_of({}).p50 is None


async def test_filters_together(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    shoes = await gateway.submit(ada.id, "Red Shoes 100%", "Nike")
    hats = await gateway.submit(eve.id, "Hats_<b>", "Ilo!")
    shoes_id, hats_id = (answer.json()["requestId"] for answer in (shoes, hats))

    async def found(**query: str) -> list[str]:
        return [one["requestId"] for one in (await get(gateway, "requests", **query))["requests"]]

    assert await found() == [hats_id, shoes_id]
    assert await found(q="shoes") == await found(q="RED SHOES") == await found(q="100%") == [shoes_id]
    assert await found(q="s_<B>") == await found(q="ilo!") == [hats_id]
    assert await found(q="%") == [shoes_id], "a sign is a sign"
    assert await found(q="_") == [hats_id]
    assert await found(userId=ada.id) == await found(organizationId=ada.organizations[0]) == [shoes_id]
    assert await found(userId=ada.id, q="hats") == []
    capital = await gateway.submitted(ada.id)
    await gateway.state.database.all("UPDATE ai_image_requests SET product = 'Äpfel' WHERE id = :id", id=capital)
    assert await found(q="Äpfel") == [capital]
    assert await found(since="2999-01-01T00:00:00Z") == await found(until="2000-01-01") == []
    assert await found(since="2000-01-01T00:00:00+02:00", status="failed") == []
    (one,) = (await get(gateway, "requests", userId=eve.id))["requests"]
    assert (one["userId"], one["organizationId"], one["product"]) == (eve.id, eve.organizations[0], "Hats_<b>")


@parsing_only
@pytest.mark.parametrize(
    "query",
    [
        {"status": "x"},
        {"userId": "x"},
        {"since": "soon"},
        {"q": "x" * 201},
        {"limit": "0"},
        {"cursor": "x"},
        {"since": "0001-01-01T00:00:00+23:59"},
    ],
)
async def test_unusable_filters(gateway: RunningGateway, query: dict[str, str]) -> None:
    headers = {"Authorization": f"Bearer {gateway.token(ADMIN, admin=True)}"}
    answer = await gateway.http.get("/api/admin/requests", params=query, headers=headers)
    assert answer.status_code == 400, answer.text


async def test_a_timeline(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    async with gateway.watching(ada.id) as websocket:
        await send(websocket, type="subscribe", scope="mine")
        await receive(websocket)
        request_id = await gateway.submitted(ada.id)
        await n8n.until_received(request_id)
        await gateway.until(ada.id, request_id, "processing")
        await gateway.callback({"requestId": request_id, "status": "processing", "progress": 40, "executionId": "7"})
        await gateway.callback({"requestId": request_id, **DONE})
        while (await receive(websocket))["request"]["status"] != "completed":
            pass
    await gateway.state.hub.receipts.flush(gateway.state.database, "test")
    await gateway.state.hub.receipts.flush(gateway.state.database, "test")
    found = await get(gateway, f"requests/{request_id}")
    assert [event["kind"] for event in found["events"]] == [
        "submitted",
        "sending",
        "accepted",
        "progressed",
        "completed",
        "delivered",
    ]
    assert found["events"][-1]["detail"] == {"transport": "websocket"}
    assert found["events"][0]["actor"] == f"user:{ada.id}"
    assert found["events"][3]["detail"] == {"progress": 40, "executionId": "7"}
    assert (found["request"]["executionId"], found["request"]["attempts"]) == ("7", 1)
    assert found["costEstimate"] == "0.04"
    assert found["sentAt"]
    assert found["deadlineAt"]


async def test_retry(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    failed = await ended(gateway, ada, status="failed", error="x")
    status, made = await post(gateway, f"requests/{failed}/retry")
    assert (status, made["retryOf"]) == (202, failed)
    received = await n8n.until_received(made["requestId"])
    assert received.payload["Product"] == "Shoes"
    assert (await gateway.body(ada.id, made["requestId"]))["status"] in ("pending", "processing"), "it is the user's"
    status, answer = await post(gateway, f"requests/{failed}/retry")
    assert (status, answer["code"]) == (409, "already_retried"), "a second click is no second bill"
    await gateway.callback({"requestId": made["requestId"], **DONE})
    status, answer = await post(gateway, f"requests/{failed}/retry")
    assert (status, answer["error"]) == (409, "A retry of this request has already succeeded.")
    usage = (await gateway.http.get("/api/usage", headers=gateway.bearer(ada.id))).json()
    assert usage["limit"]["remaining"] == 99, "what administrators do takes no place of the user's hour"
    kinds = [(event["kind"], event["actor"]) for event in (await get(gateway, f"requests/{failed}"))["events"]]
    assert kinds[-1] == ("retried", f"admin:{ADMIN}")
    assert (await get(gateway, f"requests/{made['requestId']}"))["request"]["retryOf"] == failed


async def test_only_failed_requests_are_retried(gateway: RunningGateway, ada: Person) -> None:
    done = await ended(gateway, ada, **DONE)
    for request_id in (done, await gateway.submitted(ada.id)):
        status, answer = await post(gateway, f"requests/{request_id}/retry")
        assert (status, answer["code"]) == (409, "not_failed")
    assert (await post(gateway, f"requests/{uuid.uuid4()}/retry"))[0] == 404


async def test_a_retry_keeps_to_the_budget(gateway: RunningGateway, ada: Person) -> None:
    failed = await ended(gateway, ada, status="failed", error="x", cost="5")
    gateway.state.settings = gateway.settings.model_copy(update={"ai_org_monthly_budget": Decimal(5)})
    status, answer = await post(gateway, f"requests/{failed}/retry")
    assert (status, answer["code"]) == (402, "budget_spent")


async def test_fail(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    status, body = await post(gateway, f"requests/{request_id}/fail", {"reason": "Ordered by mistake"})
    assert status == 200
    assert (body["status"], body["errorCode"], body["errorMessage"]) == (
        "failed",
        "failed_by_admin",
        "Ordered by mistake",
    )
    assert (await get(gateway, f"requests/{request_id}"))["events"][-1]["actor"] == f"admin:{ADMIN}"
    status, answer = await post(gateway, f"requests/{request_id}/fail")
    assert (status, answer["code"]) == (409, "already_final")
    await gateway.callback({"requestId": request_id, **DONE})
    assert (await gateway.body(ada.id, request_id))["status"] == "completed", "a picture that exists wins"
    other = await gateway.submitted(ada.id)
    assert (await post(gateway, f"requests/{other}/fail", {"reason": "x\n\x1b[31m"}))[0] == 400
    assert (await post(gateway, f"requests/{other}/fail"))[0] == 200


async def test_a_delivery_is_written_once_however_often_it_is_polled(
    gateway: RunningGateway, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL_SECONDS", 3600)
    monkeypatch.setattr(receipts, "MAX_WRITTEN", 2)
    kept = gateway.state.hub.receipts
    request_ids = [await ended(gateway, ada, **DONE) for _ in range(3)]
    for request_id in request_ids:
        await gateway.body(ada.id, request_id)
    await kept.flush(gateway.state.database, "test")
    assert [request_id for request_id, _ in kept._written] == request_ids[1:], "remembered, within the bound"
    for request_id in request_ids[1:]:
        await gateway.body(ada.id, request_id)
    assert not kept._pending
    for request_id in request_ids:
        found = await get(gateway, f"requests/{request_id}")
        assert [event["kind"] for event in found["events"]].count("delivered") == 1
