"""Administrators find requests by whatever they have of them, and do things to all that a filter selects."""

import csv
import io
import uuid
from typing import Any

import httpx
import pytest

from gateway.api.admin import bulk
from gateway.settings import Settings
from tests.conftest import Person, parsing_only
from tests.running import RunningGateway
from tests.scripted_n8n import ScriptedN8n

ADMIN = str(uuid.uuid4())
DONE = {"status": "completed", "Key": "b/a.png", "Id": "1"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"ai_generation_rate_limit_per_hour": 100})


async def ask(gateway: RunningGateway, method: str, path: str, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {gateway.token(ADMIN, admin=True)}"}
    return await gateway.http.request(method, f"/api/admin/{path}", headers=headers, **options)


async def found(gateway: RunningGateway, **query: str) -> list[str]:
    answer = await ask(gateway, "GET", "requests", params=query)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert page["total"] == len(page["requests"])
    return [one["requestId"] for one in page["requests"]]


async def name(gateway: RunningGateway, users_table: str, person: Person, email: str, organization: str) -> None:
    database = gateway.state.database
    await database.all(f"UPDATE {users_table} SET email = :email WHERE id = :id", id=person.id, email=email)
    query = "UPDATE organizations SET name = :name WHERE id = :id"
    await database.all(query, id=person.organizations[0], name=organization)


async def do(gateway: RunningGateway, action: str, **body: Any) -> tuple[int, dict[str, Any]]:
    answer = await ask(gateway, "POST", "requests/bulk", json={"action": action, **body})
    return answer.status_code, answer.json()


async def test_search_finds_by_whatever_there_is(
    gateway: RunningGateway, ada: Person, eve: Person, users_table: str
) -> None:
    await name(gateway, users_table, ada, "ada@example.com", "Analytical Engines")
    await name(gateway, users_table, eve, "eve_100%@example.com", "Evil")
    first, second = await gateway.submitted(ada.id), await gateway.submitted(eve.id)
    await gateway.callback({"requestId": first, "status": "failed", "error": "Out of ink", "executionId": "4711"})
    for text in (first[:13], "4711", "OUT OF INK", "ada@exam", "analytical", ada.id, ada.organizations[0]):
        assert await found(gateway, q=text) == [first], text
    assert await found(gateway, q="100%") == [second], "signs of a pattern are text"
    assert await found(gateway, errorCode="generation_failed") == [first]
    assert await found(gateway, status="unfinished") == [second]
    assert await found(gateway, q="nothing of that") == []


async def test_names_stand_beside_ids(gateway: RunningGateway, ada: Person, users_table: str) -> None:
    await name(gateway, users_table, ada, "ada@example.com", "Analytical Engines")
    request_id = await gateway.submitted(ada.id)
    (listed,) = (await ask(gateway, "GET", "requests")).json()["requests"]
    one = (await ask(gateway, "GET", f"requests/{request_id}")).json()["request"]
    for shown in (listed, one):
        assert (shown["userEmail"], shown["organizationName"]) == ("ada@example.com", "Analytical Engines")
    stats = (await ask(gateway, "GET", "stats")).json()
    assert [share["name"] for share in stats["byUser"]] == ["ada@example.com"]
    assert [share["name"] for share in stats["byOrganization"]] == ["Analytical Engines"]


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)  # on SQLite the tables are our own
async def test_where_users_cannot_be_read_everything_else_is_there(
    gateway: RunningGateway, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.queries.directory.USER_EMAILS", "SELECT no_such_column FROM AUTH_USERS")
    monkeypatch.setattr("storage.queries.directory.USERS_NAMED", "SELECT id FROM no_such_table")
    request_id = await gateway.submitted(ada.id)
    (listed,) = (await ask(gateway, "GET", "requests", params={"q": "Shoes"})).json()["requests"]
    assert (listed["requestId"], listed["userEmail"], listed["organizationName"]) == (request_id, None, "Acme")


async def pages(gateway: RunningGateway, **query: str) -> list[dict[str, Any]]:
    """All pages of three, forwards."""
    found = [(await ask(gateway, "GET", "requests", params={"limit": "3", **query})).json()]
    while cursor := found[-1]["nextCursor"]:
        found.append((await ask(gateway, "GET", "requests", params={"limit": "3", **query, "cursor": cursor})).json())
    return found


def ids_of(page: dict[str, Any]) -> list[str]:
    return [one["requestId"] for one in page["requests"]]


async def test_pages_go_both_ways(gateway: RunningGateway, ada: Person) -> None:
    ids = [await gateway.submitted(ada.id) for _ in range(7)][::-1]
    found = await pages(gateway)
    assert [ids_of(page) for page in found] == [ids[:3], ids[3:6], ids[6:]]
    assert [page["total"] for page in found] == [7, 7, 7]
    assert found[0]["previousCursor"] is None

    async def before(page: dict[str, Any], limit: str) -> list[str]:
        query = {"limit": limit, "newer": page["previousCursor"]}
        return ids_of((await ask(gateway, "GET", "requests", params=query)).json())

    assert await before(found[2], "3") == ids[3:6]
    assert await before(found[1], "5") == ids[:5], "half a page would hide what is newest"


@pytest.mark.parametrize("sort", ["time", "duration", "cost"])
@pytest.mark.parametrize("order", ["desc", "asc"])
async def test_sorted_pages_and_exports_are_the_same_list(
    gateway: RunningGateway, ada: Person, sort: str, order: str
) -> None:
    for cost in (None, "0.2", "0.2", "0.03", None, "1"):
        request_id = await gateway.submitted(ada.id)
        if cost is not None:
            await gateway.callback({"requestId": request_id, **DONE, "cost": cost})
    found = await pages(gateway, sort=sort, order=order)
    ids = [one for page in found for one in ids_of(page)]
    assert len(set(ids)) == len(ids) == 6
    if sort == "cost":
        costs = [one["cost"] for page in found for one in page["requests"]]
        known = ["1", "0.2", "0.2", "0.03"] if order == "desc" else ["0.03", "0.2", "0.2", "1"]
        assert costs == [*known, None, None], "what has no cost comes last"
    back = await ask(
        gateway,
        "GET",
        "requests",
        params={"limit": "3", "sort": sort, "order": order, "newer": found[1]["previousCursor"]},
    )
    assert ids_of(back.json()) == ids_of(found[0])
    exported = await ask(gateway, "GET", "requests/export.json", params={"sort": sort, "order": order})
    assert [one["requestId"] for one in exported.json()] == ids


@parsing_only
async def test_a_cursor_is_good_in_its_own_order_only(gateway: RunningGateway, ada: Person) -> None:
    for _ in range(2):
        await gateway.submitted(ada.id)
    cursor = (await ask(gateway, "GET", "requests", params={"limit": "1"})).json()["nextCursor"]
    assert (await ask(gateway, "GET", "requests", params={"limit": "1", "cursor": cursor})).status_code == 200
    for query in ({"sort": "cost"}, {"order": "asc"}):
        answer = await ask(gateway, "GET", "requests", params={"cursor": cursor, **query})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")


async def test_what_may_stand_for_a_status(gateway: RunningGateway, ada: Person) -> None:
    waiting, sending, refused, owed = [await gateway.submitted(ada.id) for _ in range(4)]
    database = gateway.state.database
    change = "UPDATE ai_image_requests SET status = 'pending', dispatch_sending_at = {} WHERE id = :id"
    for request_id in (waiting, sending, refused, owed):
        await gateway.until(ada.id, request_id, "processing")
    await database.all(change.format("NULL"), id=waiting)
    await database.all(change.format("NOW()"), id=sending)
    await database.all(
        "INSERT INTO ai_request_events (request_id, version, at, kind, actor, detail) "
        "VALUES (:id, 1, NOW(), 'refused', 'n8n', '{}')",
        id=refused,
    )
    await database.all(
        "INSERT INTO ai_gateway_owed_assets (request_id, file_url, reason, attempts, since, due_at) "
        "VALUES (:id, 'x', 'x', 1, NOW(), AFTER(:later))",
        id=owed,
        later=3600.0,
    )
    for status, request_id in (
        ("waiting", waiting),
        ("sending", sending),
        ("not_taken", refused),
        ("not_in_library", owed),
    ):
        assert await found(gateway, status=status) == [request_id], status


@parsing_only
async def test_unusable_pages_and_filters(gateway: RunningGateway) -> None:
    for query in (
        {"newer": "x"},
        {"cursor": str(uuid.uuid4())},
        {"sort": "name"},
        {"order": "up"},
        {"status": "done"},
        {"userId": "7"},
    ):
        assert (await ask(gateway, "GET", "requests", params=query)).status_code == 400, query
    for body in ({"action": "delete"}, {"action": "fail", "count": "many"}, {"action": "fail", "status": "done"}):
        assert (await ask(gateway, "POST", "requests/bulk", json=body)).status_code == 400, body


async def test_bulk_actions_are_counted_confirmed_and_recorded(
    gateway: RunningGateway, ada: Person, eve: Person
) -> None:
    mine = [await gateway.submitted(ada.id) for _ in range(3)]
    hers = await gateway.submitted(eve.id)
    done = await gateway.submitted(ada.id)
    await gateway.callback({"requestId": done, **DONE})
    assert await do(gateway, "cancel", userId=ada.id) == (200, {"selected": 3, "done": 0, "refused": 0, "more": False})
    status, refusal = await do(gateway, "cancel", userId=ada.id, count=2)
    assert (status, refusal["code"]) == (409, "count_changed")
    assert {(await gateway.body(ada.id, one))["status"] for one in mine} <= {"pending", "processing"}
    assert await do(gateway, "cancel", userId=ada.id, count=3) == (
        200,
        {"selected": 3, "done": 3, "refused": 0, "more": False},
    )
    assert {(await gateway.body(ada.id, one))["errorCode"] for one in mine} == {"canceled"}
    assert (await gateway.body(eve.id, hers))["status"] != "failed"
    assert (await gateway.body(ada.id, done))["status"] == "completed"
    kinds = "SELECT actor FROM ai_request_events WHERE kind = 'canceled'"
    rows = await gateway.state.database.all(kinds)
    assert [row["actor"] for row in rows] == [f"admin:{ADMIN}"] * 3
    assert await do(gateway, "fail", status="unfinished", count=9) == (
        200,
        {"selected": 1, "done": 1, "refused": 0, "more": False},
    )
    assert (await gateway.body(eve.id, hers))["errorCode"] == "failed_by_admin"


async def test_a_bulk_retry_submits_each_once(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    failed = [await gateway.submitted(ada.id) for _ in range(2)]
    for one in failed:
        await gateway.callback({"requestId": one, "status": "failed", "error": "x"})
    query = {"errorCode": "generation_failed"}
    assert (await do(gateway, "retry", count=2, **query))[1] == {"selected": 2, "done": 2, "refused": 0, "more": False}
    assert (await do(gateway, "retry", count=2, **query))[1] == {"selected": 2, "done": 0, "refused": 2, "more": False}
    retried = [one for one in (await ask(gateway, "GET", "requests")).json()["requests"] if one["retryOf"] is not None]
    assert sorted(one["retryOf"] for one in retried) == sorted(failed)
    for one in retried:
        await n8n.until_received(one["requestId"])


@parsing_only
async def test_one_call_does_not_do_more_than_it_may(
    gateway: RunningGateway, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MAX_BULK", 2)
    for _ in range(3):
        await gateway.submitted(ada.id)
    assert (await do(gateway, "cancel"))[1] == {"selected": 2, "done": 0, "refused": 0, "more": True}
    assert (await do(gateway, "cancel", count=2))[1] == {"selected": 2, "done": 2, "refused": 0, "more": True}
    assert (await do(gateway, "cancel", count=2))[1] == {"selected": 1, "done": 1, "refused": 0, "more": False}


async def test_exports_hold_what_the_filter_selects(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    wanted = (await gateway.submit(ada.id, '=HYPERLINK("x")', 'Quotes " and, commas')).json()["requestId"]
    await gateway.submitted(eve.id)
    answer = await ask(gateway, "GET", "requests/export.csv", params={"userId": ada.id})
    assert answer.headers["Content-Disposition"] == 'attachment; filename="requests.csv"'
    assert answer.text.startswith("\ufeff")
    (row,) = csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"), newline=""))
    assert (row["requestId"], row["brand"]) == (wanted, 'Quotes " and, commas')
    assert row["product"] == '\'=HYPERLINK("x")', "no formula for a spreadsheet"
    (listed,) = (await ask(gateway, "GET", "requests/export.json", params={"userId": ada.id})).json()
    assert (listed["requestId"], listed["product"]) == (wanted, '=HYPERLINK("x")')
    nothing = await ask(gateway, "GET", "requests/export.json", params={"q": "nothing of that"})
    assert nothing.json() == []


@parsing_only
async def test_exports_read_page_by_page(gateway: RunningGateway, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api.admin.export.PAGE", 2)
    monkeypatch.setattr("gateway.api.admin.export.MAX_EXPORTED", 5)
    ids = [await gateway.submitted(ada.id) for _ in range(6)][::-1]
    listed = (await ask(gateway, "GET", "requests/export.json")).json()
    assert [one["requestId"] for one in listed] == ids[:5]


@parsing_only
@pytest.mark.parametrize(("method", "path"), [("POST", "bulk"), ("GET", "export.csv"), ("GET", "export.json")])
async def test_administrators_only(gateway: RunningGateway, ada: Person, method: str, path: str) -> None:
    path = f"/api/admin/requests/{path}"
    assert (await gateway.http.request(method, path)).status_code == 401
    assert (await gateway.http.request(method, path, headers=gateway.bearer(ada.id))).status_code == 403
