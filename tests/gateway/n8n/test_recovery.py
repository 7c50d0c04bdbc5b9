"""Ask before failing: n8n's memory decides what becomes of a request that is overdue or in doubt.

n8n's API is a stand-in that serves executions as a real n8n was recorded to.
"""

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from gateway.n8n import executions, recovery
from gateway.n8n.execution_data import outcome_of
from gateway.n8n.reports import Completed, Failed
from gateway.settings import Settings
from storage import probes
from tests import scripted_n8n
from tests.executions_api import (
    RECORDED,
    RECORDED_REQUEST,
    ExecutionsApi,
    asked,
    asking,
    callback_secrets,
    different,
    in_doubt,
    let_expire,
    running_api,
    until_kind,
)
from tests.people import People, Person, parsing_only
from tests.running import RunningGateway, eventually, running_gateway
from tests.scripted_n8n import Received, ScriptedN8n


@pytest.fixture
async def api() -> AsyncIterator[ExecutionsApi]:
    async with running_api() as running:
        yield running


@pytest.fixture
def settings(settings: Settings, api: ExecutionsApi, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return asking(settings, api, monkeypatch)


async def test_a_finished_execution_is_recovered_soon_after_a_doubt(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    async def cut(received: Received) -> Response:
        api.put("7", "completed", received.request_id)
        return scripted_n8n.EMPTY

    n8n.script = cut
    request_id = await gateway.submitted(ada.id)
    body = await gateway.until(ada.id, request_id, "completed")
    assert body["storageKey"] == f"ai-images/{request_id}.png"
    assert len(await gateway.state.database.all("SELECT id FROM assets")) == 1
    assert n8n.times(request_id) == 1


async def test_a_failed_execution_tells_its_reason(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    request_id = await in_doubt(gateway, ada, n8n)
    api.put("7", "failed", request_id)
    body = await gateway.until(ada.id, request_id, "failed")
    assert body["errorCode"] == "generation_failed"
    assert body["errorMessage"] == outcome_of(RECORDED["failed"], frozenset()).message  # type: ignore[union-attr]
    assert len(body["errorMessage"]) > 5


async def test_a_running_execution_shows_as_processing_and_gets_more_time_at_its_deadline(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    request_id = await in_doubt(gateway, ada, n8n)
    api.put("7", "running", request_id)
    await gateway.until(ada.id, request_id, "processing")
    await let_expire(gateway, request_id)
    await until_kind(gateway, request_id, "more_time")
    assert (await gateway.body(ada.id, request_id))["status"] == "processing"
    api.put("7", "completed", request_id)
    await let_expire(gateway, request_id)
    await gateway.until(ada.id, request_id, "completed")


async def test_more_time_is_not_for_ever(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    request_id = await in_doubt(gateway, ada, n8n)
    api.put("7", "running", request_id)
    await gateway.until(ada.id, request_id, "processing")
    seconds = recovery.LONGEST_FACTOR * gateway.settings.ai_deadline_seconds
    await gateway.state.database.all(
        "UPDATE ai_image_requests SET dispatch_sending_at = AFTER(:seconds), deadline_at = NOW(), probe_at = NULL",
        seconds=-seconds - 1,
    )
    body = await gateway.until(ada.id, request_id, "failed")
    assert body["errorCode"] == "deadline"
    assert "still runs" in body["errorMessage"]


async def test_what_n8n_does_not_know_is_asked_again_until_the_deadline(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    """A POST may wait in n8n's queue for a while."""
    other = api.put("6", "completed", "22222222-2222-4222-8222-222222222222")
    request_id = await in_doubt(gateway, ada, n8n)
    await eventually(lambda: asyncio.sleep(0, api.listed > 10))
    assert (await gateway.body(ada.id, request_id))["status"] == "pending"
    assert api.fetched == [other["id"]], "once: what it took does not change"
    await let_expire(gateway, request_id)
    body = await gateway.until(ada.id, request_id, "failed")
    assert body["errorCode"] == "deadline"
    assert "no execution" in body["errorMessage"]
    assert n8n.times(request_id) == 1


UNAVAILABLE = [
    PlainTextResponse("", 503),
    JSONResponse({"message": "unauthorized"}, 401),
    PlainTextResponse("<html>"),
    JSONResponse([1]),
    JSONResponse({}),
    JSONResponse({"data": [{"id": "7", "startedAt": "yesterday"}]}),
]


@parsing_only
@pytest.mark.parametrize("answer", UNAVAILABLE)
async def test_an_n8n_that_cannot_be_asked_gets_a_while(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi, answer: Response
) -> None:
    request_id = await in_doubt(gateway, ada, n8n)
    api.answer = answer
    await let_expire(gateway, request_id)
    before = await asked(gateway, request_id)
    await eventually(lambda: different(gateway, request_id, before))
    assert (await gateway.body(ada.id, request_id))["status"] == "pending"
    await let_expire(gateway, request_id, recovery.UNREACHABLE_SECONDS + 1)
    body = await gateway.until(ada.id, request_id, "failed")
    assert "could not be asked" in body["errorMessage"]


async def test_answers_are_bounded(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executions, "MAX_ANSWER", 10_000)
    request_id = await in_doubt(gateway, ada, n8n)
    before = await asked(gateway, request_id)
    api.put("7", "completed", request_id, padding="x" * 20_000)
    await eventually(lambda: different(gateway, request_id, before))
    await let_expire(gateway, request_id, recovery.UNREACHABLE_SECONDS + 1)
    await gateway.until(ada.id, request_id, "failed")


async def test_what_users_type_does_not_make_an_execution_theirs(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    """Eve's product is the id of ada's request, and her picture must not become ada's."""
    request_id = await in_doubt(gateway, ada, n8n)
    others = copy.deepcopy(RECORDED["completed"])
    body = others["data"]["resultData"]["runData"]["Webhook"][0]["data"]["main"][0][0]["json"]["body"]
    body["Product"] = body["Your Brand"] = request_id
    others["data"]["resultData"]["runData"]["Webhook"][0]["data"]["main"][0][0]["json"]["query"] = {
        "requestId": request_id
    }
    api.put("8", "completed", RECORDED_REQUEST, data=others["data"])
    await eventually(lambda: asyncio.sleep(0, "8" in api.fetched))
    await let_expire(gateway, request_id)
    body = await gateway.until(ada.id, request_id, "failed")
    assert "no execution" in body["errorMessage"]


async def test_a_number_that_n8n_gave_twice_is_looked_behind(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    """After a reset n8n numbers anew: the number alone proves nothing."""
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    await gateway.callback({"requestId": request_id, "status": "processing", "progress": 5, "executionId": "7"})
    api.put("7", "failed", "22222222-2222-4222-8222-222222222222")
    api.put("9", "completed", request_id)
    await let_expire(gateway, request_id)
    body = await gateway.until(ada.id, request_id, "completed")
    assert body["storageKey"] == f"ai-images/{request_id}.png"


async def test_of_several_runs_one_with_a_picture_counts(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    """Somebody ran it again in n8n's editor."""
    request_id = await in_doubt(gateway, ada, n8n)
    api.answer = PlainTextResponse("", 503)
    later = (datetime.now(UTC) + timedelta(seconds=20)).isoformat()
    api.put("7", "failed", request_id)
    api.put("9", "completed", request_id, mode="retry", retryOf="7", startedAt=later)
    api.answer = None
    await gateway.until(ada.id, request_id, "completed")


async def test_one_process_asks(
    settings: Settings, users_table: str, n8n: ScriptedN8n, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "PROBE_SECONDS", 3600)  # the gateway's own search was at its start
    async with running_gateway(settings) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await gateway.submitted(ada.id)
        await gateway.until(ada.id, request_id, "processing")
        await let_expire(gateway, request_id)
        taken = await asyncio.gather(*(probes.claim_probes(gateway.state.database, 10) for _ in range(5)))
    assert [len(share) for share in taken if share] == [1]


async def test_what_was_never_sent_fails_at_its_deadline_without_a_probe(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    n8n.answers(scripted_n8n.DATABASE_LOST)
    request_id = await gateway.submitted(ada.id)
    await until_kind(gateway, request_id, "send_again")
    await let_expire(gateway, request_id)
    body = await gateway.until(ada.id, request_id, "failed")
    assert body["errorCode"] == "deadline"
    assert api.fetched == []


def test_a_picture_counts_though_the_callback_failed() -> None:
    execution = copy.deepcopy(RECORDED["completed"]) | {"status": "error"}
    execution["data"]["resultData"]["error"] = {"message": "The service refused the connection"}
    assert isinstance(outcome_of(execution, frozenset()), Completed)
    outside = outcome_of(execution, frozenset({"other"}))
    assert isinstance(outside, Failed)
    assert "STORAGE_BUCKETS" in outside.message


@pytest.mark.parametrize("status", ["error", "canceled", "crashed"])
@pytest.mark.parametrize("data", [None, {}, {"resultData": {}}, {"resultData": {"runData": {"A": [{"data": None}]}}}])
def test_an_execution_that_broke_is_a_failure_that_says_so(status: str, data: Any) -> None:
    found = outcome_of({"id": "1", "status": status, "data": data}, frozenset())
    assert isinstance(found, Failed)
    assert found.message


def without_picture() -> dict[str, Any]:
    data = copy.deepcopy(RECORDED["completed"]["data"])
    del data["resultData"]["runData"]["Last"]
    return dict(data)


async def test_a_workflow_that_ended_well_without_a_picture_may_still_get_one(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    request_id = await in_doubt(gateway, ada, n8n)
    text = json.dumps(without_picture()).replace(RECORDED_REQUEST, request_id)
    data = json.loads(
        text.replace('"callbackSecret": "s"', f'"callbackSecret": "{callback_secrets().token_for(request_id)}"')
    )
    api.put("7", "completed", request_id, data=data)
    await eventually(lambda: asyncio.sleep(0, "7" in api.fetched and api.listed > 10))
    assert (await gateway.body(ada.id, request_id))["status"] == "pending"
    await let_expire(gateway, request_id)
    body = await gateway.until(ada.id, request_id, "failed")
    assert "ended without a picture" in body["errorMessage"]


@pytest.mark.parametrize("secret", ["", "s", "of another request"])
async def test_a_payload_without_the_requests_secret_proves_nothing(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi, secret: str
) -> None:
    """Anyone may post a request's id to another workflow's open webhook."""
    request_id = await in_doubt(gateway, ada, n8n)
    if secret == "of another request":
        secret = callback_secrets().token_for("22222222-2222-4222-8222-222222222222")
    text = json.dumps(RECORDED["completed"]["data"]).replace(RECORDED_REQUEST, request_id)
    api.put("8", "completed", request_id, data=json.loads(text.replace('"s"', json.dumps(secret))))
    await eventually(lambda: asyncio.sleep(0, "8" in api.fetched))
    await let_expire(gateway, request_id)
    body = await gateway.until(ada.id, request_id, "failed")
    assert "no execution" in body["errorMessage"]


async def test_a_run_that_goes_on_outweighs_one_that_failed(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    request_id = await in_doubt(gateway, ada, n8n)
    api.answer = PlainTextResponse("", 503)
    api.put("7", "running", request_id)
    api.put("9", "failed", request_id, startedAt=(datetime.now(UTC) + timedelta(seconds=20)).isoformat())
    api.answer = None
    await gateway.until(ada.id, request_id, "processing")


async def test_what_waits_for_a_place_in_n8n_is_found(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    request_id = await in_doubt(gateway, ada, n8n)
    api.put("7", "running", request_id, status="new", startedAt=None)
    await gateway.until(ada.id, request_id, "processing")


@pytest.mark.parametrize("bound", ["MAX_CANDIDATES", "MAX_PAGES"])
async def test_a_search_that_had_to_end_early_is_no_proof(
    gateway: RunningGateway,
    ada: Person,
    n8n: ScriptedN8n,
    api: ExecutionsApi,
    monkeypatch: pytest.MonkeyPatch,
    bound: str,
) -> None:
    monkeypatch.setattr(executions, bound, 2 if bound == "MAX_CANDIDATES" else 0)
    request_id = await in_doubt(gateway, ada, n8n)
    for number in range(5):
        api.put(str(number), "completed", "22222222-2222-4222-8222-222222222222")
    before = await asked(gateway, request_id)
    await let_expire(gateway, request_id)
    await eventually(lambda: different(gateway, request_id, before))
    assert (await gateway.body(ada.id, request_id))["status"] == "pending"


async def test_a_dripping_n8n_delays_nobody_else(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executions, "ASK_SECONDS", 1.0)
    api.drips = True
    doubtful = await in_doubt(gateway, ada, n8n)
    n8n.answers(scripted_n8n.DATABASE_LOST)
    unsent = await gateway.submitted(ada.id)
    await until_kind(gateway, unsent, "send_again")
    await let_expire(gateway, unsent)
    await gateway.until(ada.id, unsent, "failed")
    before = await asked(gateway, doubtful)
    await eventually(lambda: different(gateway, doubtful, before))
    await let_expire(gateway, doubtful, recovery.UNREACHABLE_SECONDS + 1)
    body = await gateway.until(ada.id, doubtful, "failed")
    assert "could not be asked" in body["errorMessage"]


async def test_json_that_is_nested_too_deeply_is_no_poison(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    request_id = await in_doubt(gateway, ada, n8n)
    api.answer = PlainTextResponse('{"data":' + "[" * 20_000)
    await let_expire(gateway, request_id, recovery.UNREACHABLE_SECONDS + 1)
    await gateway.until(ada.id, request_id, "failed")


async def test_an_execution_by_another_name_is_searched_for(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, api: ExecutionsApi
) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    await gateway.callback({"requestId": request_id, "status": "processing", "progress": 5, "executionId": "../x?y"})
    api.put("9", "completed", request_id)
    await let_expire(gateway, request_id)
    await gateway.until(ada.id, request_id, "completed")
    assert api.fetched == ["9"]


async def test_rows_of_other_tools_end_too(gateway: RunningGateway, ada: Person) -> None:
    """The app that is being replaced goes on inserting until its last process has gone."""
    database = gateway.state.database
    await database.all(
        "INSERT INTO ai_image_requests (user_id, organization_id, product, brand) "
        "VALUES (:user, :organization, 'Shoes', 'Nike')",
        user=ada.id,
        organization=ada.organizations[0],
    )
    row = await database.one("SELECT id, deadline_at FROM ai_image_requests")
    assert row is not None
    assert row["deadline_at"] is not None
    await let_expire(gateway, str(row["id"]))
    await gateway.until(ada.id, str(row["id"]), "failed")
