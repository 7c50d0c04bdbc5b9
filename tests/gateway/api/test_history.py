"""What a user has: lists page by page, and usage."""

import base64
from typing import Any

import pytest

from gateway.api import history
from gateway.settings import Settings
from tests.people import Person, parsing_only
from tests.running import RunningGateway


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(history, "TYPICAL_FRESH_SECONDS", 0.001)
    return settings.model_copy(
        update={"ai_generation_rate_limit_per_hour": 50, "n8n_webhook_url": "http://127.0.0.1:1/"}
    )


async def listed(gateway: RunningGateway, person: Person, path: str, limit: int) -> list[Any]:
    """Everything, page by page."""
    name = path.rpartition("/")[2].replace("ai-requests", "requests").partition("?")[0]
    found: list[Any] = []
    cursor = None
    while True:
        query = {"limit": str(limit), **({"cursor": cursor} if cursor else {})}
        answer = await gateway.http.get(path, params=query, headers=gateway.bearer(person.id))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page[name]) <= limit
        found += page[name]
        cursor = page["nextCursor"]
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_neither_skip_nor_repeat(gateway: RunningGateway, ada: Person, eve: Person, limit: int) -> None:
    made = [await gateway.submitted(ada.id) for _ in range(7)]
    await gateway.submitted(eve.id)
    # Rows of the same moment, as a bulk import leaves them: the id decides.
    await gateway.state.database.all("UPDATE ai_image_requests SET created_at = AFTER(:seconds)", seconds=-60.0)
    found = await listed(gateway, ada, "/api/ai-requests", limit)
    assert [body["requestId"] for body in found] == sorted(made, reverse=True)
    assert found[0] == await gateway.body(ada.id, found[0]["requestId"]), "the Body, as everywhere"


async def test_by_status(gateway: RunningGateway, ada: Person) -> None:
    first, second = [await gateway.submitted(ada.id) for _ in range(2)]
    await gateway.callback({"requestId": first, "status": "completed", "Key": "b/a.png", "Id": "1"})
    for status, expected in (("completed", [first]), ("pending", [second]), ("failed", [])):
        answer = await gateway.http.get(f"/api/ai-requests?status={status}", headers=gateway.bearer(ada.id))
        assert [body["requestId"] for body in answer.json()["requests"]] == expected


async def test_assets(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    made = []
    for number in range(3):
        request_id = await gateway.submitted(ada.id)
        await gateway.callback({"requestId": request_id, "status": "completed", "Key": f"b/{number}.png", "Id": "1"})
        made.append(request_id)
    await gateway.submitted(ada.id)
    found = await listed(gateway, ada, "/api/assets", 2)
    assert [asset["requestId"] for asset in found] == made[::-1]
    assert found[0] == {
        "id": found[0]["id"],
        "name": "AI Generated: Shoes - Nike",
        "type": "image",
        "format": "PNG",
        "status": "approved",
        "fileUrl": f"{gateway.url}/storage/v1/object/public/b/2.png",
        "requestId": made[2],
        "product": "Shoes",
        "brand": "Nike",
        "createdAt": (await gateway.body(ada.id, made[2]))["completedAt"],
    }
    assert await listed(gateway, eve, "/api/assets", 2) == []
    await gateway.state.database.all("DELETE FROM assets WHERE file_url LIKE :end", end="%/b/1.png")
    assert [asset["requestId"] for asset in await listed(gateway, ada, "/api/assets", 2)] == [made[2], made[0]]


WRONG = [
    "limit=0",
    "limit=101",
    "limit=x",
    "limit=-1",
    "cursor=x",
    "cursor=" + "A" * 500,
    "cursor=%00",
    "cursor=MjAyNi0xMS0yMlQyMzowNjo1MSBh",
    "cursor="
    + base64.urlsafe_b64encode(b"9999-12-31T23:59:59-23:59 " + b"0" * 8 + b"-0000-4000-8000-" + b"0" * 12).decode(),
]


@parsing_only
@pytest.mark.parametrize("query", WRONG)
@pytest.mark.parametrize("path", ["/api/ai-requests", "/api/assets"])
async def test_unusable_parameters(gateway: RunningGateway, ada: Person, path: str, query: str) -> None:
    answer = await gateway.http.get(f"{path}?{query}", headers=gateway.bearer(ada.id))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")


@parsing_only
async def test_an_unknown_status(gateway: RunningGateway, ada: Person) -> None:
    answer = await gateway.http.get("/api/ai-requests?status=done", headers=gateway.bearer(ada.id))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")


async def test_a_cursor_opens_nothing_of_anothers(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    for _ in range(2):
        await gateway.submitted(ada.id)
    await gateway.submitted(eve.id)
    first = await gateway.http.get("/api/ai-requests?limit=1", headers=gateway.bearer(ada.id))
    cursor = first.json()["nextCursor"]
    answer = await gateway.http.get(f"/api/ai-requests?cursor={cursor}", headers=gateway.bearer(eve.id))
    ids = {body["requestId"] for body in answer.json()["requests"]}
    rows = await gateway.state.database.all("SELECT id FROM ai_image_requests WHERE user_id = :id", id=eve.id)
    assert ids <= {str(row["id"]) for row in rows}


@parsing_only
@pytest.mark.parametrize("path", ["/api/ai-requests", "/api/assets", "/api/usage"])
async def test_nobody_sees_them_without_a_token(gateway: RunningGateway, path: str) -> None:
    assert (await gateway.http.get(path)).status_code == 401


async def test_usage(gateway: RunningGateway, ada: Person) -> None:
    usage = (await gateway.http.get("/api/usage", headers=gateway.bearer(ada.id))).json()
    assert usage["limit"] == {"quota": 50, "remaining": 50, "windowSeconds": 3600, "resetSeconds": 0}
    assert usage["month"] == {"spent": "0", "reserved": "0"}
    assert usage["typicalSeconds"] is None
    assert (usage["currency"], usage["isAdmin"]) == (None, False)
    assert usage["organizations"] == [
        {
            "organizationId": ada.organizations[0],
            "name": "Acme",
            "budget": None,
            "committed": "0",
            "remaining": None,
        }
    ]
    for cost in ("0.5", "0.25"):
        request_id = await gateway.submitted(ada.id)
        await gateway.callback(
            {"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1", "cost": cost}
        )
    usage = (await gateway.http.get("/api/usage", headers=gateway.bearer(ada.id))).json()
    assert usage["limit"]["remaining"] == 48
    assert 3590 < usage["limit"]["resetSeconds"] <= 3600
    assert usage["month"]["spent"] == "0.75"
    assert 0 <= usage["typicalSeconds"] < 15


async def test_usage_names_the_currency_and_tells_administrators_apart(gateway: RunningGateway, ada: Person) -> None:
    gateway.state.settings = gateway.state.settings.model_copy(update={"ai_currency": "EUR"})
    admin = {"Authorization": f"Bearer {gateway.token(ada.id, admin=True)}"}
    usage = (await gateway.http.get("/api/usage", headers=admin)).json()
    assert (usage["currency"], usage["isAdmin"]) == ("EUR", True)
    statistics = (await gateway.http.get("/api/admin/stats", headers=admin)).json()
    assert statistics["currency"] == "EUR"


@parsing_only
@pytest.mark.parametrize("path", ["/api/ai-requests", "/api/assets"])
async def test_lists_say_whether_pictures_have_small_variants(gateway: RunningGateway, ada: Person, path: str) -> None:
    assert (await gateway.http.get(path, headers=gateway.bearer(ada.id))).json()["thumbnails"] is False
    gateway.state.settings = gateway.state.settings.model_copy(update={"storage_thumbnails": True})
    assert (await gateway.http.get(path, headers=gateway.bearer(ada.id))).json()["thumbnails"] is True


async def test_a_library_that_cannot_be_read_is_no_fault_of_ours(gateway: RunningGateway, ada: Person) -> None:
    database, headers = gateway.state.database, {"Authorization": f"Bearer {gateway.token(ada.id)}"}
    await database.all("ALTER TABLE assets RENAME COLUMN format TO kind")
    try:
        answer = await gateway.http.get("/api/assets", headers=headers)
    finally:
        await database.all("ALTER TABLE assets RENAME COLUMN kind TO format")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert (await gateway.http.get("/api/assets", headers=headers)).status_code == 200
