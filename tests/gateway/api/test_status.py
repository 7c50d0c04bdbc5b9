"""`GET /api/ai-status/{requestId}`: polling, cheaply, and the long poll."""

import asyncio

import pytest

from tests.people import Person, parsing_only
from tests.running import SECONDS, RunningGateway, eventually

BODY_FIELDS = {
    "requestId",
    "status",
    "product",
    "brand",
    "storageKey",
    "storageId",
    "publicUrl",
    "errorMessage",
    "createdAt",
    "completedAt",
    "version",
    "progress",
    "errorCode",
    "updatedAt",
    "cost",
}


async def test_the_body_has_its_fields(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    answer = await gateway.http.get(f"/api/ai-status/{request_id}", headers=gateway.bearer(ada.id))
    body = answer.json()
    assert set(body) == BODY_FIELDS
    assert answer.headers["ETag"] == f'"v{body["version"]}"'
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert body["createdAt"].endswith("Z")


async def test_other_peoples_requests_do_not_exist(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    unknown = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
    answers = [
        await gateway.http.get(f"/api/ai-status/{asked}{query}", headers=gateway.bearer(eve.id))
        for asked in (request_id, unknown, "nonsense", "%00", "'%20OR%201=1")
        for query in ("", "?wait=5&version=0")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1, "nothing tells them apart"


async def test_an_unchanged_request_is_304(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    url, headers = f"/api/ai-status/{request_id}", gateway.bearer(ada.id)
    etag = (await gateway.http.get(url, headers=headers)).headers["ETag"]
    for condition in (etag, f'"x", W/{etag}', "*"):
        answer = await gateway.http.get(url, headers={**headers, "If-None-Match": condition})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
    await gateway.callback({"requestId": request_id, "status": "failed", "error": "x"})
    answer = await gateway.http.get(url, headers={**headers, "If-None-Match": etag})
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")


async def test_a_long_poll_answers_as_soon_as_there_is_news(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    body = await gateway.until(ada.id, request_id, "processing")
    url = f"/api/ai-status/{request_id}?wait=60&version={body['version']}"
    polls = [asyncio.create_task(gateway.http.get(url, headers=gateway.bearer(ada.id))) for _ in range(5)]

    async def waiting() -> bool:
        return gateway.state.hub.subscribers == 5

    await eventually(waiting)
    await gateway.callback({"requestId": request_id, "status": "processing", "progress": 55})
    async with asyncio.timeout(SECONDS):
        answers = await asyncio.gather(*polls)
    assert [answer.json()["progress"] for answer in answers] == [55] * 5
    assert gateway.state.hub.subscribers == 0


async def test_a_long_poll_answers_at_once_when_it_can(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    body = await gateway.until(ada.id, request_id, "processing")
    headers = gateway.bearer(ada.id)
    async with asyncio.timeout(SECONDS):
        older = await gateway.http.get(f"/api/ai-status/{request_id}?wait=60&version=1", headers=headers)
        assert older.json() == body
        await gateway.callback({"requestId": request_id, "status": "failed", "error": "x"})
        final = await gateway.http.get(f"/api/ai-status/{request_id}?wait=60&version=99", headers=headers)
        assert final.json()["status"] == "failed"


async def test_a_long_poll_without_news_answers_with_what_is(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    body = await gateway.until(ada.id, request_id, "processing")
    url = f"/api/ai-status/{request_id}?wait=1&version={body['version']}"
    answer = await gateway.http.get(url, headers=gateway.bearer(ada.id))
    assert answer.json() == body
    unchanged = {**gateway.bearer(ada.id), "If-None-Match": answer.headers["ETag"]}
    for asked in (url, url.partition("&")[0]):
        began = asyncio.get_running_loop().time()
        assert (await gateway.http.get(asked, headers=unchanged)).status_code == 304
        assert asyncio.get_running_loop().time() - began > 0.9, "it waited"


@parsing_only
@pytest.mark.parametrize("query", ["wait=61&version=1", "wait=-1&version=1", "wait=x&version=1", "wait=1&version=1.5"])
async def test_unusable_parameters_are_refused(gateway: RunningGateway, ada: Person, query: str) -> None:
    request_id = await gateway.submitted(ada.id)
    answer = await gateway.http.get(f"/api/ai-status/{request_id}?{query}", headers=gateway.bearer(ada.id))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")


async def test_a_client_that_leaves_a_long_poll_frees_its_place(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    body = await gateway.until(ada.id, request_id, "processing")
    url = f"/api/ai-status/{request_id}?wait=60&version={body['version']}"
    poll = asyncio.create_task(gateway.http.get(url, headers=gateway.bearer(ada.id)))

    async def held() -> bool:
        return gateway.state.hub.subscribers == 1

    await eventually(held)
    poll.cancel()

    async def free() -> bool:
        return gateway.state.hub.subscribers == 0 and not gateway.state.limits.open

    await eventually(free)
