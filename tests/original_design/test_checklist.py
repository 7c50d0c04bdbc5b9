"""The original design document's testing checklist (Phase 6), item by item."""

import asyncio

import pytest

from gateway.auth.callback_secrets import CallbackSecrets
from gateway.settings import Settings
from storage import migrations
from storage.database.open import open_database
from storage.database.schema import check_schema
from tests.people import Person
from tests.running import RunningGateway, receive, send
from tests.scripted_n8n import ERROR_IN_WORKFLOW, ScriptedN8n


async def test_run_database_migration(database_url: str) -> None:
    migrations_again = asyncio.to_thread(migrations.upgrade, database_url)
    await migrations_again
    async with open_database(database_url) as database:
        await check_schema(database)


def test_set_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("N8N_WEBHOOK_URL", "https://n8n.example.com/webhook/path")
    monkeypatch.setenv("N8N_WEBHOOK_SECRET", "to-n8n-" + "x" * 32)
    monkeypatch.setenv("AI_CALLBACK_SECRET", "from-n8n-" + "x" * 32)
    monkeypatch.setenv("SUPABASE_JWT_SECRET", "y" * 40)
    monkeypatch.setenv("AI_GENERATION_RATE_LIMIT_PER_HOUR", "7")
    monkeypatch.setenv("NEXT_PUBLIC_APP_URL", "https://app.example.com/")
    settings = Settings.load()
    assert settings.n8n_webhook_url == "https://n8n.example.com/webhook/path"
    assert settings.n8n_webhook_secret.get_secret_value() == "to-n8n-" + "x" * 32
    assert settings.ai_callback_secret.get_secret_value() == "from-n8n-" + "x" * 32
    assert settings.ai_generation_rate_limit_per_hour == 7
    assert settings.callback_url == "https://app.example.com/api/ai-callback"


async def test_user_can_submit_ai_generation_request(gateway: RunningGateway, ada: Person) -> None:
    answer = await gateway.submit(ada.id, "Running Shoes", "Nike")
    assert answer.status_code == 202
    content = answer.json()
    assert content == {
        "requestId": content["requestId"],
        "status": "pending",
        "message": "AI image generation started. This may take 30-60 seconds.",
    }
    assert answer.headers["Location"] == f"/api/ai-status/{content['requestId']}"


async def test_database_record_is_created(gateway: RunningGateway, ada: Person) -> None:
    request_id = await gateway.submitted(ada.id)
    row = await gateway.state.database.one(
        "SELECT user_id, organization_id, product, brand, status FROM ai_image_requests WHERE id = :id", id=request_id
    )
    assert row is not None
    assert str(row["user_id"]) == ada.id
    assert str(row["organization_id"]) == ada.organizations[0]
    assert (row["product"], row["brand"]) == ("Shoes", "Nike")


async def test_n8n_receives_request_with_correct_payload(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n
) -> None:
    request_id = await gateway.submitted(ada.id)
    received = await n8n.until_received(request_id)
    body = await gateway.body(ada.id, request_id)
    assert received.payload == {
        "requestId": request_id,
        "Product": "Shoes",
        "Your Brand": "Nike",
        "organizationId": ada.organizations[0],
        "callbackUrl": f"{gateway.url}/api/ai-callback",
        "callbackSecret": CallbackSecrets(gateway.settings).token_for(request_id),
        "submittedAt": body["createdAt"],
        "formMode": "test",
    }
    assert received.headers["x-webhook-secret"] == gateway.settings.n8n_webhook_secret.get_secret_value()
    assert received.headers["idempotency-key"] == request_id
    assert received.headers["traceparent"].startswith(f"00-{request_id.replace('-', '')}-")


async def test_n8n_can_call_back(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    request_id = await gateway.submitted(ada.id)
    received = await n8n.until_received(request_id)
    answer = await n8n.call_back(received, status="completed", Key="ai-images/shoes.png", Id="object-1")
    assert (answer.status_code, answer.json()) == (200, {"success": True})


async def test_frontend_polls_and_sees_every_status(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    request_id = await gateway.submitted(ada.id)
    await gateway.until(ada.id, request_id, "processing")
    received = await n8n.until_received(request_id)
    await n8n.call_back(received, status="completed", Key="ai-images/shoes.png", Id="object-1")
    body = await gateway.body(ada.id, request_id)
    assert body["status"] == "completed"
    assert body["storageKey"] == "ai-images/shoes.png"
    assert body["storageId"] == "object-1"
    assert body["completedAt"] is not None


async def test_completed_image_displays_correctly(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    request_id = await gateway.submitted(ada.id)
    received = await n8n.until_received(request_id)
    await n8n.call_back(received, status="completed", Key="ai-images/my shoes/é 1.png", Id="object-1")
    body = await gateway.body(ada.id, request_id)
    assert body["publicUrl"] == f"{gateway.url}/storage/v1/object/public/ai-images/my%20shoes/%C3%A9%201.png"


async def test_error_handling_when_the_workflow_fails(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    request_id = await gateway.submitted(ada.id)
    received = await n8n.until_received(request_id)
    await n8n.call_back(received, status="failed", error="The provider is out of credits")
    body = await gateway.body(ada.id, request_id)
    assert (body["status"], body["errorCode"]) == ("failed", "generation_failed")
    assert body["errorMessage"] == "The provider is out of credits"
    assert body["completedAt"] is not None


async def test_error_handling_when_n8n_answers_with_an_error(
    gateway: RunningGateway, ada: Person, n8n: ScriptedN8n
) -> None:
    n8n.answers(ERROR_IN_WORKFLOW)
    request_id = await gateway.submitted(ada.id)
    body = await gateway.until(ada.id, request_id, "failed")
    assert body["errorCode"] == "generation_failed"
    assert n8n.times(request_id) == 1


async def test_rate_limiting_with_11_requests_in_an_hour(gateway: RunningGateway, ada: Person) -> None:
    answers = [await gateway.submit(ada.id) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [202] * 10 + [429]
    refused = answers[-1]
    assert refused.json()["error"] == "Rate limit exceeded. Maximum 10 requests per hour."
    assert 3500 < int(refused.headers["Retry-After"]) <= 3600


async def test_asset_is_created_in_asset_library(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    request_id = await gateway.submitted(ada.id)
    received = await n8n.until_received(request_id)
    await n8n.call_back(received, status="completed", Key="ai-images/shoes.png", Id="object-1")
    (asset,) = await gateway.state.database.all(
        "SELECT name, type, format, status, file_url, user_id, organization_id FROM assets WHERE user_id = :user_id",
        user_id=ada.id,
    )
    assert asset["name"] == "AI Generated: Shoes - Nike"
    assert (asset["type"], asset["format"], asset["status"]) == ("image", "PNG", "approved")
    assert asset["file_url"] == (await gateway.body(ada.id, request_id))["publicUrl"]
    assert str(asset["organization_id"]) == ada.organizations[0]


async def test_multiple_concurrent_requests(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n) -> None:
    async with gateway.watching(ada.id) as websocket:
        await send(websocket, type="subscribe", scope="mine")
        await receive(websocket)
        answers = await asyncio.gather(*[gateway.submit(ada.id, f"Product {number}") for number in range(8)])
        ids = {answer.json()["requestId"] for answer in answers}
        assert len(ids) == 8
        for request_id in ids:
            received = await n8n.until_received(request_id)
            await n8n.call_back(received, status="completed", Key=f"ai-images/{request_id}.png", Id=request_id)
        last: dict[str, dict[str, object]] = {}
        while {body["status"] for body in last.values()} != {"completed"} or set(last) != ids:
            body = (await receive(websocket))["request"]
            last[body["requestId"]] = body
    assert all(body["storageId"] == request_id for request_id, body in last.items())
