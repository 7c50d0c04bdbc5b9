"""One request in the administrator's eyes: what n8n was sent and said, without secrets, and what is beside it."""

import uuid
from typing import Any

import httpx
import jsonschema
import pytest

from gateway.n8n.editor import execution_url
from gateway.settings import Settings
from tests.conftest import Person, parsing_only
from tests.running import RunningGateway
from tests.scripted_n8n import ScriptedN8n

ADMIN = str(uuid.uuid4())
WORKFLOW = "https://n8n.example.com/workflow/AbC-1"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"ai_generation_rate_limit_per_hour": 100, "n8n_editor_url": WORKFLOW})


async def answer_about(gateway: RunningGateway, request_id: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {gateway.token(ADMIN, admin=True)}"}
    return await gateway.http.get(f"/api/admin/requests/{request_id}", headers=headers)


async def details(gateway: RunningGateway, request_id: str) -> dict[str, Any]:
    answer = await answer_about(gateway, request_id)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_what_was_sent_is_what_n8n_received_but_for_its_secret(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n
) -> None:
    request_id = await gateway.submitted(ada.id)
    received = (await n8n.until_received(request_id)).payload
    sent = (await details(gateway, request_id))["n8n"]["sent"]
    assert received["callbackSecret"]
    assert sent == {name: value for name, value in received.items() if name != "callbackSecret"}


@parsing_only
async def test_nothing_was_sent_before_it_was(gateway: RunningGateway, ada: Person) -> None:
    gateway.state.dispatch_due.clear()
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    database = gateway.state.database
    await database.all("UPDATE ai_image_requests SET dispatch_sending_at = NULL WHERE id = :id", id=request_id)
    await database.all("DELETE FROM ai_request_events WHERE kind <> 'submitted'")
    assert (await details(gateway, request_id))["n8n"] == {"sent": None, "reported": []}


async def test_what_n8n_reported_is_told_in_its_words(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    progress = {"requestId": request_id, "status": "processing", "progress": 40, "executionId": "7"}
    await gateway.callback(progress)
    await gateway.callback({"requestId": request_id, "status": "failed", "error": "Out of ink", "cost": "0.01"})
    await gateway.callback({"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1", "cost": 0.5})
    found = await details(gateway, request_id)
    assert [one["report"] for one in found["n8n"]["reported"]] == [
        {"status": "accepted"},
        {"status": "processing", "progress": 40, "executionId": "7"},
        {"status": "failed", "error": "Out of ink", "cost": "0.01"},
        {"status": "completed", "Key": "b/a.png", "Id": "1", "cost": "0.5"},
    ]
    document = (await gateway.http.get("/api/openapi.json")).json()
    schema = document["paths"]["/api/admin/requests/{request_id}"]["get"]["responses"]["200"]["content"]
    described = {**schema["application/json"]["schema"], "components": document["components"]}
    jsonschema.validate(found, described, jsonschema.Draft202012Validator)


async def test_no_secret_is_shown_whatever_n8n_quotes(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    request_id = await gateway.submitted(ada.id)
    token = (await n8n.until_received(request_id)).payload["callbackSecret"]
    settings = gateway.settings
    others = [settings.n8n_webhook_secret.get_secret_value(), settings.ai_callback_secret.get_secret_value()]
    error = f"POST failed with headers X-Callback-Secret: {token}, {' and '.join(others)}"
    await gateway.callback({"requestId": request_id, "status": "failed", "error": error})
    answer = await answer_about(gateway, request_id)
    body = await gateway.body(ada.id, request_id)
    shown = await gateway.http.get(
        "/api/admin/requests", headers={"Authorization": f"Bearer {gateway.token(ada.id, admin=True)}"}
    )
    for secret in (token, *others):
        assert secret not in answer.text
        assert secret not in str(body)
        assert secret not in shown.text
    assert "POST failed with headers X-Callback-Secret: [left out], [left out] and [left out]" in answer.text


async def test_neighbours_are_of_the_same_user(gateway: RunningGateway, ada: Person, eve: Person) -> None:
    first = await gateway.submitted(ada.id)
    await gateway.submitted(eve.id)
    second = await gateway.submitted(ada.id)
    found = await details(gateway, second)
    assert (found["previous"]["requestId"], found["previous"]["product"], found["next"]) == (first, "Shoes", None)
    found = await details(gateway, first)
    assert (found["previous"], found["next"]["requestId"]) == (None, second)


@parsing_only
async def test_the_execution_leads_to_n8n_where_its_id_can(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    assert (await details(gateway, request_id))["request"]["executionUrl"] is None
    await gateway.callback({"requestId": request_id, "status": "processing", "progress": 1, "executionId": 4711})
    assert (await details(gateway, request_id))["request"]["executionUrl"] == f"{WORKFLOW}/executions/4711"


@pytest.mark.parametrize(
    ("workflow", "execution", "url"),
    [
        (WORKFLOW, "4711", f"{WORKFLOW}/executions/4711"),
        ("", "4711", None),
        (WORKFLOW, None, None),
        (WORKFLOW, "../../signout", None),
        (WORKFLOW, "1?x=#", None),
        (WORKFLOW, "4711\n", None),
        (WORKFLOW, "١٢", None),
        (WORKFLOW, "1" * 65, None),
        (WORKFLOW, "", None),
    ],
)
def test_only_what_can_be_an_id_becomes_part_of_an_address(workflow: str, execution: str | None, url: str) -> None:
    assert execution_url(workflow, execution) == url
