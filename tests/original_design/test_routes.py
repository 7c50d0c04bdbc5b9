"""What is wrong in the document's routes. Each fault is a scenario: the gateway passes it, the document's way fails."""

import asyncio
import contextlib
import hmac
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.responses import JSONResponse, PlainTextResponse, Response

from gateway.auth import issue_token
from gateway.server import bind
from gateway.settings import Settings, SettingsError
from storage import migrations
from tests.original_design.document import AI_CALLBACK_SECRET, JWT_SECRET, Document
from tests.running import eventually, running_gateway, serving
from tests.scripted_n8n import Received, ScriptedN8n
from tests.servers import Postgres
from tests.storage.supabase import ACME, ADA, EVIL, STATES

pytestmark = pytest.mark.slow

BODY = {"Product": "Shoes", "Your Brand": "Nike"}
CALLBACK = {"X-Callback-Secret": AI_CALLBACK_SECRET}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@dataclass
class App:
    """An app with the document's endpoints, reached as its users and n8n reach it."""

    http: httpx.AsyncClient
    n8n: ScriptedN8n
    server: Postgres
    database: str

    async def submit(self, **more: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {issue_token(JWT_SECRET, ADA, admin=False, lifetime=600)}"}
        return await self.http.post("/api/ai-generate", json=BODY | more, headers=headers)

    async def submitted(self) -> Received:
        """Submit and wait until n8n has it."""
        answer = await self.submit()
        assert answer.status_code == 202, answer.text
        return await self.n8n.until_received(answer.json()["requestId"])

    async def call_back(self, body: dict[str, object]) -> httpx.Response:
        return await self.http.post("/api/ai-callback", json=body, headers=CALLBACK)

    async def status(self, request_id: str) -> str:
        headers = {"Authorization": f"Bearer {issue_token(JWT_SECRET, ADA, admin=False, lifetime=600)}"}
        answer = await self.http.get(f"/api/ai-status/{request_id}", headers=headers)
        return str(answer.json()["status"])

    async def until(self, request_id: str, status: str) -> None:
        async def reached() -> bool:
            return await self.status(request_id) == status

        try:
            await eventually(reached)
        except TimeoutError:
            raise AssertionError(f"never {status}") from None

    def sql(self, statement: str) -> str:
        return self.server.execute(statement, self.database)


Scenario = Callable[[App], Awaitable[None]]


def completed(received: Received, **more: object) -> dict[str, object]:
    return {"requestId": received.request_id, "status": "completed", "Key": "b/a.png", "Id": "1", **more}


async def a_callback_completes_the_request(app: App) -> None:
    """1"""
    received = await app.submitted()
    assert (await app.call_back(completed(received))).status_code == 200
    assert await app.status(received.request_id) == "completed"


async def concurrent_submissions_keep_to_the_limit(app: App) -> None:
    """7"""
    answers = await asyncio.gather(*(app.submit() for _ in range(30)))
    assert sum(answer.status_code == 202 for answer in answers) == 10


async def a_late_answer_of_n8n_does_not_overwrite_its_callback(app: App) -> None:
    """8"""
    called_back, answered = asyncio.Event(), asyncio.Event()

    async def slow(received: Received) -> Response:
        await called_back.wait()
        answered.set()
        return JSONResponse({"message": "Workflow was started"})

    app.n8n.script = slow
    received = await app.submitted()
    await app.call_back(completed(received))
    assert await app.status(received.request_id) == "completed"
    called_back.set()
    await answered.wait()
    changes = f"SELECT status FROM ai_image_requests WHERE id = '{received.request_id}'"
    for _ in range(50):
        await asyncio.sleep(0.01)  # nothing may happen, so there is nothing to wait for
        assert app.sql(changes) == "completed"


async def n8n_may_be_away_for_a_moment(app: App) -> None:
    """8"""
    app.n8n.answers(PlainTextResponse("", 503), JSONResponse({"message": "Workflow was started"}))
    received = await app.submitted()
    await app.until(received.request_id, "processing")


async def members_of_two_organizations_may_submit(app: App) -> None:
    """9"""
    app.sql(f"INSERT INTO organization_members (organization_id, user_id) VALUES ('{EVIL}', '{ADA}')")
    assert (await app.submit(organizationId=ACME)).status_code == 202


async def a_repeated_callback_makes_no_second_asset(app: App) -> None:
    """10"""
    received = await app.submitted()
    for _ in range(3):
        assert (await app.call_back(completed(received))).status_code == 200
    assert app.sql("SELECT count(*) FROM assets") == "1"


async def asset_and_status_come_together_or_not_at_all(app: App) -> None:
    """10"""
    received = await app.submitted()
    app.sql(
        "CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$; "
        "CREATE TRIGGER break BEFORE UPDATE ON ai_image_requests FOR EACH ROW WHEN (NEW.status = 'completed') "
        "EXECUTE FUNCTION break()"
    )
    assert (await app.call_back(completed(received))).status_code == 500
    assert app.sql("SELECT count(*) FROM assets") == "0"


async def completed_without_an_id_is_refused(app: App) -> None:
    """10"""
    received = await app.submitted()
    assert (await app.call_back(completed(received, Id=""))).status_code == 400


async def an_unknown_status_is_refused(app: App) -> None:
    """10"""
    received = await app.submitted()
    assert (await app.call_back({"requestId": received.request_id, "status": "done"})).status_code == 400


async def an_invalid_id_is_no_error_of_the_server(app: App) -> None:
    """10"""
    assert (await app.call_back({"requestId": "42", "status": "failed", "error": "x"})).status_code == 404


SCENARIOS: list[tuple[Scenario, str]] = [
    (a_callback_completes_the_request, "anon"),
    (concurrent_submissions_keep_to_the_limit, "anon"),
    (a_late_answer_of_n8n_does_not_overwrite_its_callback, "service_role"),
    (n8n_may_be_away_for_a_moment, "anon"),
    (members_of_two_organizations_may_submit, "anon"),
    (a_repeated_callback_makes_no_second_asset, "service_role"),
    (asset_and_status_come_together_or_not_at_all, "service_role"),
    (completed_without_an_id_is_refused, "service_role"),
    (an_unknown_status_is_refused, "service_role"),
    (an_invalid_id_is_no_error_of_the_server, "service_role"),
]
each = pytest.mark.parametrize(("scenario", "role"), [pytest.param(s, role, id=s.__name__) for s, role in SCENARIOS])

_numbers = itertools.count(1)


def project(server: Postgres) -> str:
    name = f"routes_{next(_numbers)}"
    server.execute(f"CREATE DATABASE {name}")
    server.execute(STATES["the original design"], name)
    server.execute("DELETE FROM ai_image_requests", name)
    return name


@contextlib.asynccontextmanager
async def the_document(server: Postgres, n8n: ScriptedN8n, role: str, rate_limit: str = "10") -> AsyncIterator[App]:
    name = project(server)
    document = Document(server.url(name).replace("postgres@", "authenticator@"), n8n.url, rate_limit, role)
    listener = bind("127.0.0.1", 0)
    document.app_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(document.app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    async with (
        serving(document.app, config, listener),
        httpx.AsyncClient(base_url=document.app_url, timeout=20) as http,
    ):
        yield App(http, n8n, server, name)


@contextlib.asynccontextmanager
async def the_gateway(server: Postgres, n8n: ScriptedN8n) -> AsyncIterator[App]:
    name = project(server)
    await asyncio.to_thread(migrations.upgrade, server.url(name).replace("postgres@", "project@"))
    settings = Settings.load(
        {
            "database_url": server.url(name).replace("postgres@", "project@"),
            "n8n_webhook_url": n8n.url,
            "supabase_jwt_secret": JWT_SECRET,
            "ai_callback_secret": AI_CALLBACK_SECRET,
        }
    )
    async with running_gateway(settings) as gateway:
        yield App(gateway.http, n8n, server, name)


@each
async def test_the_gateway_does_it_right(server: Postgres, n8n: ScriptedN8n, scenario: Scenario, role: str) -> None:
    async with the_gateway(server, n8n) as app:
        await scenario(app)


@each
async def test_the_document_does_it_wrong(server: Postgres, n8n: ScriptedN8n, scenario: Scenario, role: str) -> None:
    async with the_document(server, n8n, role) as app:
        with pytest.raises(AssertionError):
            await scenario(app)


async def test_a_limit_that_is_no_number_stops_the_gateway_and_opens_the_document(
    server: Postgres, n8n: ScriptedN8n
) -> None:
    """7"""
    with pytest.raises(SettingsError, match="AI_GENERATION_RATE_LIMIT_PER_HOUR"):
        Settings.load({"ai_generation_rate_limit_per_hour": "ten"})
    async with the_document(server, n8n, "anon", rate_limit="ten") as app:
        answers = [await app.submit() for _ in range(12)]
        assert {answer.status_code for answer in answers} == {202}


@pytest.mark.parametrize("which", ["gateway", "document"])
async def test_secrets_are_compared_in_constant_time(
    server: Postgres, n8n: ScriptedN8n, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10"""
    compared: list[Any] = []
    compare = hmac.compare_digest

    def noted(given: Any, expected: Any) -> bool:
        compared.append(expected)
        return compare(given, expected)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    way = the_gateway(server, n8n) if which == "gateway" else the_document(server, n8n, "anon")
    async with way as app:
        answer = await app.http.post("/api/ai-callback", json={}, headers={"X-Callback-Secret": "x"})
        assert answer.status_code == 401
    assert (AI_CALLBACK_SECRET.encode() in compared) is (which == "gateway")


@pytest.mark.parametrize("which", ["gateway", "document"])
async def test_bodies_do_not_reach_the_log(
    server: Postgres, n8n: ScriptedN8n, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    """10"""
    caplog.set_level(logging.DEBUG)
    way = the_gateway(server, n8n) if which == "gateway" else the_document(server, n8n, "anon")
    async with way as app:
        received = await app.submitted()
        await app.call_back(completed(received, callbackSecret="a-secret-in-the-body"))
    assert ("a-secret-in-the-body" in caplog.text) is (which == "document")
