"""What is wrong in the document's routes. Each fault is a scenario: the gateway passes it, the document's way fails."""

import asyncio
import contextlib
import hmac
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.responses import JSONResponse, Response

from gateway.auth.tokens import issue_token
from gateway.server.listener import bind
from gateway.settings import Settings, SettingsError
from storage import migrations
from storage.queries import submitting
from tests.original_design import document
from tests.original_design.document import AI_CALLBACK_SECRET, JWT_SECRET, Document
from tests.processes.spawning import GatewayProcess, ServingProcess, closing_all
from tests.running import eventually, running_gateway, serving
from tests.scripted_n8n import DATABASE_LOST, ERROR_IN_WORKFLOW, Received, ScriptedN8n
from tests.servers import Postgres, free_port
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
    fetches: set[asyncio.Task[None]] = field(default_factory=set)
    """The document's calls to n8n that are under way."""

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

    async def sql(self, statement: str) -> str:
        return await asyncio.to_thread(self.server.execute, statement, self.database)  # it may wait for the app


Scenario = Callable[[App], Awaitable[None]]


def completed(received: Received, **more: object) -> dict[str, object]:
    return {"requestId": received.request_id, "status": "completed", "Key": "b/a.png", "Id": "1", **more}


async def a_callback_completes_the_request(app: App) -> None:
    """Section 3.2: n8n sends no cookie, so the callback runs as `anon`, which sees no row to update."""
    received = await app.submitted()
    assert (await app.call_back(completed(received))).status_code == 200
    assert await app.status(received.request_id) == "completed"


async def concurrent_submissions_keep_to_the_limit(app: App) -> None:
    """Section 3.1 counts, then inserts: whoever submits in between is not counted."""
    answers = await asyncio.gather(*(app.submit() for _ in range(30)))
    assert sum(answer.status_code == 202 for answer in answers) == 10


async def a_late_answer_of_n8n_does_not_overwrite_its_callback(app: App) -> None:
    """Section 3.1 writes `processing` when n8n has answered, whatever was called back before."""
    await overtaken(app, JSONResponse({"message": "Workflow was started"}))


async def a_late_error_of_n8n_does_not_overwrite_its_callback(app: App) -> None:
    """Section 3.1 writes `failed` when n8n has answered with an error, whatever was called back before."""
    await overtaken(app, ERROR_IN_WORKFLOW)


async def overtaken(app: App, answer: Response) -> None:
    """The callback comes before the webhook's own answer."""
    called_back, answered = asyncio.Event(), asyncio.Event()

    async def slow(received: Received) -> Response:
        await called_back.wait()
        answered.set()
        return answer

    app.n8n.script = slow
    received = await app.submitted()
    await app.call_back(completed(received))
    assert await app.status(received.request_id) == "completed"
    called_back.set()
    await answered.wait()
    changes = f"SELECT status FROM ai_image_requests WHERE id = '{received.request_id}'"
    for _ in range(50):
        await asyncio.sleep(0.01)  # nothing may happen, so there is nothing to wait for
        assert await app.sql(changes) == "completed"


async def n8n_may_be_away_for_a_moment(app: App) -> None:
    """Section 3.1 sends once: an n8n that restarts costs the request."""
    app.n8n.answers(DATABASE_LOST, JSONResponse({"message": "Workflow was started"}))
    received = await app.submitted()
    await app.until(received.request_id, "processing")


async def members_of_two_organizations_may_submit(app: App) -> None:
    """Section 3.1 asks for the user's single organization: who has two gets an error."""
    await app.sql(f"INSERT INTO organization_members (organization_id, user_id) VALUES ('{EVIL}', '{ADA}')")
    assert (await app.submit(organizationId=ACME)).status_code == 202


async def a_repeated_callback_makes_no_second_asset(app: App) -> None:
    """Section 3.2 inserts an asset at every callback, and n8n repeats what was not answered."""
    received = await app.submitted()
    for _ in range(3):
        assert (await app.call_back(completed(received))).status_code == 200
    assert await app.sql("SELECT count(*) FROM assets") == "1"


async def asset_and_status_come_together_or_not_at_all(app: App) -> None:
    """Section 3.2 inserts the asset, then updates the request, without a transaction."""
    received = await app.submitted()
    await app.sql(
        "CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$; "
        "CREATE TRIGGER break BEFORE UPDATE ON ai_image_requests FOR EACH ROW WHEN (NEW.status = 'completed') "
        "EXECUTE FUNCTION break()"
    )
    assert (await app.call_back(completed(received))).status_code == 500
    assert await app.sql("SELECT count(*) FROM assets") == "0"


async def completed_without_an_id_is_refused(app: App) -> None:
    """Section 3.2 answers success to `completed` without `Key` or `Id`, and does nothing."""
    received = await app.submitted()
    assert (await app.call_back(completed(received, Id=""))).status_code == 400


async def an_unknown_status_is_refused(app: App) -> None:
    """Section 3.2 answers success to a status that it does not know, and does nothing."""
    received = await app.submitted()
    assert (await app.call_back({"requestId": received.request_id, "status": "done"})).status_code == 400


async def an_invalid_id_is_no_error_of_the_server(app: App) -> None:
    """Section 3.2 hands any text to the database as an id, which answers with an error."""
    assert (await app.call_back({"requestId": "42", "status": "failed", "error": "x"})).status_code == 404


SCENARIOS: list[tuple[Scenario, str]] = [
    (a_callback_completes_the_request, "anon"),
    (concurrent_submissions_keep_to_the_limit, "anon"),
    (a_late_answer_of_n8n_does_not_overwrite_its_callback, "service_role"),
    (a_late_error_of_n8n_does_not_overwrite_its_callback, "service_role"),
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
    server.execute("DELETE FROM assets; DELETE FROM ai_image_requests", name)
    return name


def document_url(server: Postgres, name: str) -> str:
    return server.url(name).replace("postgres@", "authenticator@")


@contextlib.asynccontextmanager
async def the_document(
    server: Postgres, n8n: ScriptedN8n, role: str, rate_limit: str = "10", name: str | None = None
) -> AsyncIterator[App]:
    name = name or project(server)
    made = Document(document_url(server, name), n8n.url, rate_limit, role)
    listener = bind("127.0.0.1", 0)
    made.app_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(made.app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    async with (
        serving(made.app, config, listener),
        httpx.AsyncClient(base_url=made.app_url, timeout=20) as http,
    ):
        yield App(http, n8n, server, name, made.fetches)


def gateway_environment(server: Postgres, n8n: ScriptedN8n, name: str) -> dict[str, str]:
    return {
        "DATABASE_URL": server.url(name).replace("postgres@", "project@"),
        "N8N_WEBHOOK_URL": n8n.url,
        "SUPABASE_JWT_SECRET": JWT_SECRET,
        "AI_CALLBACK_SECRET": AI_CALLBACK_SECRET,
    }


async def migrated_project(server: Postgres) -> str:
    name = project(server)
    await asyncio.to_thread(migrations.upgrade, server.url(name).replace("postgres@", "project@"))
    return name


@contextlib.asynccontextmanager
async def the_gateway(
    server: Postgres, n8n: ScriptedN8n, name: str | None = None, **more: object
) -> AsyncIterator[App]:
    name = name or await migrated_project(server)
    environment = gateway_environment(server, n8n, name)
    settings = Settings.load({**{key.lower(): value for key, value in environment.items()}, **more})
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
    """Section 3.1 compares with `parseInt` of the setting: nothing is more than NaN."""
    with pytest.raises(SettingsError, match="AI_GENERATION_RATE_LIMIT_PER_HOUR"):
        Settings.load({"ai_generation_rate_limit_per_hour": "ten"})
    async with the_document(server, n8n, "anon", rate_limit="ten") as app:
        answers = [await app.submit() for _ in range(12)]
        assert {answer.status_code for answer in answers} == {202}


@pytest.mark.parametrize("which", ["gateway", "document"])
async def test_a_count_that_fails_lets_nobody_past_the_limit(
    server: Postgres, n8n: ScriptedN8n, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Section 3.1 ignores the count's error: nothing was counted, so all may pass."""
    way = the_gateway(server, n8n) if which == "gateway" else the_document(server, n8n, "anon")
    async with way as app:
        with monkeypatch.context() as patch:
            patch.setattr(submitting, "RULES", "SELECT 1 / 0 AS used")
            patch.setattr(document, "COUNT", "SELECT 1 / 0 WHERE $1::uuid IS NOT NULL")
            answers = [await app.submit() for _ in range(12)]
        accepted = sum(answer.status_code == 202 for answer in answers)
        assert accepted == (0 if which == "gateway" else 12)
        assert await app.sql("SELECT count(*) FROM ai_image_requests") == str(accepted)
        assert (await app.submit()).status_code == (202 if which == "gateway" else 429)


async def test_what_a_process_that_ends_has_not_sent_is_sent_by_the_gateway_alone(
    server: Postgres, n8n: ScriptedN8n, tmp_path: Path
) -> None:
    """Section 3.1 sends after its answer, from memory: what a serverless function does then is lost with it."""
    name = await migrated_project(server)
    dying = ServingProcess(
        folder=tmp_path,
        environment={**gateway_environment(server, n8n, name), "DIE_AT": "before-mark"},
        module="tests.processes.dying_gateway",
    )
    with closing_all([dying]):
        await asyncio.to_thread(dying.wait_until_ready)
        request_id = await submitted_to(dying.url)
        assert await asyncio.to_thread(dying.wait) == -9
    async with the_gateway(server, n8n, name) as app:
        await n8n.until_received(request_id)
        await app.until(request_id, "processing")
        assert n8n.times(request_id) == 1

    name, port = project(server), free_port()
    connecting = GatewayProcess(
        str(port),
        folder=tmp_path,
        environment={"PROJECT_URL": document_url(server, name), "N8N_WEBHOOK_URL": n8n.url},
        module="tests.original_design.dying_document",
    )
    with closing_all([connecting]):
        request_id = await submitted_to(f"http://127.0.0.1:{port}")
        connecting.kill()
    async with the_document(server, n8n, "anon", name=name) as app:
        later = await app.submitted()
        await app.until(later.request_id, "processing")
        assert n8n.times(request_id) == 0
        assert await app.status(request_id) == "pending", "and nobody will ever look at it again"


async def submitted_to(url: str) -> str:
    """Submit to a process as soon as it answers; returns the request's id."""
    headers = {"Authorization": f"Bearer {issue_token(JWT_SECRET, ADA, admin=False, lifetime=600)}"}
    async with httpx.AsyncClient(base_url=url, timeout=20) as http:

        async def answered() -> httpx.Response | None:
            with contextlib.suppress(httpx.ConnectError):
                return await http.post("/api/ai-generate", json=BODY, headers=headers)
            return None

        answer = await eventually(answered)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["requestId"])


async def test_an_n8n_that_never_answers_is_waited_for_without_end_by_the_document_alone(
    server: Postgres, n8n: ScriptedN8n
) -> None:
    """Section 3.1 fetches without a timeout, and nothing watches for what never ends."""

    async def no_answer(received: Received) -> Response:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    n8n.script = no_answer
    async with the_gateway(server, n8n, n8n_timeout_seconds=1, ai_deadline_seconds=2) as app:
        received = await app.submitted()
        await app.until(received.request_id, "failed")
        assert n8n.times(received.request_id) == 1

    async with the_document(server, n8n, "anon") as app:
        received = await app.submitted()
        await let_a_day_pass()
        (fetch,) = app.fetches
        done, _ = await asyncio.wait([fetch], timeout=0.5)  # nothing may happen, so there is nothing to wait for
        assert not done
        assert await app.status(received.request_id) == "pending"
        fetch.cancel()


async def let_a_day_pass() -> None:
    """Put the clock of the test's event loop forward: whatever has a time limit has reached it."""
    loop, seconds = asyncio.get_running_loop(), 24 * 3600.0
    now, a_day = loop.time, asyncio.create_task(asyncio.sleep(seconds))
    await asyncio.sleep(0)
    loop.time = lambda: now() + seconds  # type: ignore[method-assign]
    await a_day


@pytest.mark.parametrize("which", ["gateway", "document"])
async def test_secrets_are_compared_in_constant_time(
    server: Postgres, n8n: ScriptedN8n, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Section 3.2 compares the secret with `!==`, whose time tells how much was right."""
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
    """Section 3.2 logs the callback's whole body."""
    caplog.set_level(logging.DEBUG)
    way = the_gateway(server, n8n) if which == "gateway" else the_document(server, n8n, "anon")
    async with way as app:
        received = await app.submitted()
        await app.call_back(completed(received, callbackSecret="a-secret-in-the-body"))
    assert ("a-secret-in-the-body" in caplog.text) is (which == "document")
