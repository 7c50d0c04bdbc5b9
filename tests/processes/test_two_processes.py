"""Several processes on one database and one bus."""

import asyncio
import json
import signal
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from gateway.settings import DEVELOPMENT_SECRETS
from storage import migrations
from storage.database.base import Database
from tests.alert_receiver import alert_receiver
from tests.people import Person
from tests.processes.conftest import Serve, bearer
from tests.processes.spawning import GatewayProcess, ServingProcess
from tests.running import eventually, receive
from tests.scripted_n8n import ScriptedN8n
from tests.servers import Postgres, Valkey

pytestmark = pytest.mark.slow

BALANCER = "http://127.0.0.1:9"
"""The address of both: processes of one environment have the same."""

BODY = {"Product": "Shoes", "Your Brand": "Nike"}
SECRET = {"X-Callback-Secret": DEVELOPMENT_SECRETS["ai_callback_secret"]}

on_postgres = pytest.mark.parametrize("backend", ["postgres"], indirect=True)


@on_postgres
async def test_a_callback_that_reaches_one_is_pushed_by_the_other(serve: Serve, ada: Person) -> None:
    first, second = await asyncio.gather(*[asyncio.to_thread(lambda: serve(APP_URL=BALANCER)) for _ in range(2)])
    async with (
        httpx.AsyncClient(verify=False) as http,
        connect(second.url.replace("http", "ws") + "/ws", additional_headers=bearer(ada), proxy=None) as websocket,
    ):
        assert (await receive(websocket))["type"] == "welcome"
        await websocket.send(json.dumps({"type": "subscribe", "scope": "mine"}))
        assert (await receive(websocket))["requests"] == []
        answer = await http.post(f"{first.url}/api/ai-generate", json=BODY, headers=bearer(ada))
        request_id = answer.json()["requestId"]
        versions = []
        while True:
            body = (await receive(websocket))["request"]
            assert body["requestId"] == request_id
            versions.append(body["version"])
            if body["status"] == "processing":
                break
        news = {"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"}
        async with asyncio.timeout(5):  # well before the next reconcile: it came over the bus
            assert (await http.post(f"{first.url}/api/ai-callback", json=news, headers=SECRET)).status_code == 200
            body = (await receive(websocket))["request"]
        assert body["status"] == "completed"
        assert [*versions, body["version"]] == sorted({*versions, body["version"]})


@on_postgres
async def test_24_submissions_over_two_processes_make_exactly_10_rows(
    serve: Serve, outside: Database, ada: Person
) -> None:
    processes = await asyncio.gather(asyncio.to_thread(serve), asyncio.to_thread(serve))
    async with httpx.AsyncClient(verify=False, timeout=20) as http:
        answers = await asyncio.gather(
            *(
                http.post(f"{processes[number % 2].url}/api/ai-generate", json=BODY, headers=bearer(ada))
                for number in range(24)
            )
        )
    assert sorted(answer.status_code for answer in answers) == [202] * 10 + [429] * 14
    assert len(await outside.all("SELECT id FROM ai_image_requests")) == 10
    left = sorted(answer.headers["RateLimit"].split(";")[1] for answer in answers if answer.status_code == 202)
    assert left == sorted(f"r={number}" for number in range(10))


@on_postgres
async def test_every_request_is_sent_once_however_many_dispatch(
    serve: Serve,
    outside: Database,
    ada: Person,
    n8n: ScriptedN8n,
    tmp_path: Path,
    environment: dict[str, str],
    spawned: list[GatewayProcess],
) -> None:
    def more(**settings: str) -> object:
        return serve(AI_GENERATION_RATE_LIMIT_PER_HOUR="1000", **settings)

    first, _ = await asyncio.gather(asyncio.to_thread(more), asyncio.to_thread(more))
    worker = GatewayProcess("worker", folder=tmp_path, environment=environment)
    spawned.append(worker)
    await asyncio.to_thread(worker.wait_for, "The worker runs")
    async with httpx.AsyncClient(verify=False, timeout=20) as http:
        url = f"{first.url}/api/ai-generate"  # type: ignore[attr-defined]
        answers = await asyncio.gather(*(http.post(url, json=BODY, headers=bearer(ada)) for _ in range(60)))
    assert {answer.status_code for answer in answers} == {202}

    async def all_processing() -> bool:
        return not await outside.all("SELECT id FROM ai_image_requests WHERE status <> 'processing'")

    await eventually(all_processing)
    assert sorted(n8n.times(answer.json()["requestId"]) for answer in answers) == [1] * 60


@on_postgres
async def test_a_worker_apart_does_the_sending(
    serve: Serve,
    ada: Person,
    n8n: ScriptedN8n,
    tmp_path: Path,
    environment: dict[str, str],
    spawned: list[GatewayProcess],
) -> None:
    web = await asyncio.to_thread(serve, "--no-worker")
    async with httpx.AsyncClient(verify=False, timeout=20) as http:
        answer = await http.post(f"{web.url}/api/ai-generate", json=BODY, headers=bearer(ada))
        assert n8n.received == []
        environment |= {"APP_URL": web.url}
        worker = GatewayProcess("worker", "--port", "0", folder=tmp_path, environment=environment)
        spawned.append(worker)
        received = await n8n.until_received(answer.json()["requestId"])
        called = await n8n.call_back(received, status="completed", Key="b/a.png", Id="1")
        assert called.status_code == 200
        operators = (await asyncio.to_thread(worker.wait_for, r"answers operators at (\S+)"))[1]
        assert (await http.get(f"{operators}/readyz")).status_code == 200
        sent = 'gateway_dispatch_attempts_total{outcome="accepted"} '
        assert sent + "1.0" in (await http.get(f"{operators}/metrics")).text
        assert sent + "0.0" in (await http.get(f"{web.url}/metrics")).text, "a rise from 0 to 1 can be seen"
        assert (await http.post(f"{operators}/api/ai-generate", json=BODY, headers=bearer(ada))).status_code == 404
    assert await asyncio.to_thread(worker.terminate) in (0, -signal.SIGTERM)


@on_postgres
async def test_several_workers_share_a_port(serve: Serve, ada: Person, n8n: ScriptedN8n) -> None:
    process = await asyncio.to_thread(serve, "--workers", "2")
    async with httpx.AsyncClient(verify=False, timeout=20) as http:
        answer = await http.post(f"{process.url}/api/ai-generate", json=BODY, headers=bearer(ada))
        assert answer.status_code == 202
        await n8n.until_received(answer.json()["requestId"])
    await asyncio.to_thread(process.terminate)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_second_process_on_a_sqlite_file_is_told_why_not(
    serve: Serve, tmp_path: Path, environment: dict[str, str], spawned: list[GatewayProcess]
) -> None:
    await asyncio.to_thread(serve)
    second = GatewayProcess("serve", "--port", "0", folder=tmp_path, environment=environment)
    spawned.append(second)
    assert await asyncio.to_thread(second.wait) == 1
    assert "Another gateway process already serves" in second.output()
    assert "Traceback" not in second.output()


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("arguments", [("serve", "--workers", "2"), ("serve", "--no-worker"), ("worker",)])
async def test_more_than_one_process_needs_shared_servers(
    tmp_path: Path, environment: dict[str, str], spawned: list[GatewayProcess], arguments: tuple[str, ...]
) -> None:
    process = GatewayProcess(*arguments, folder=tmp_path, environment=environment)
    spawned.append(process)
    assert await asyncio.to_thread(process.wait) == 1
    assert "set DATABASE_URL to PostgreSQL and REDIS_URL to Redis" in process.output()


async def test_logs_are_json_in_production_and_say_no_secret(serve: Serve, ada: Person, n8n: ScriptedN8n) -> None:
    secrets = {
        "N8N_WEBHOOK_SECRET": "production-webhook-secret-" + "w" * 20,
        "AI_CALLBACK_SECRET": "production-callback-secret-" + "c" * 20,
        "SUPABASE_JWT_SECRET": DEVELOPMENT_SECRETS["supabase_jwt_secret"][:-1] + "X",
    }
    from gateway.auth.tokens import issue_token

    token = issue_token(secrets["SUPABASE_JWT_SECRET"], ada.id, admin=False, lifetime=600)
    process = await asyncio.to_thread(
        lambda: serve(ENVIRONMENT="production", APP_URL="https://gateway.example.com", **secrets)
    )
    async with httpx.AsyncClient(base_url=process.url, verify=False) as http:
        headers = {"Authorization": f"Bearer {token}"}
        names = {"Product": "Unlogged product", "Your Brand": "Unlogged brand"}
        request_id = (await http.post("/api/ai-generate", json=names, headers=headers)).json()["requestId"]
        received = await n8n.until_received(request_id)
        own = {"X-Callback-Secret": received.payload["callbackSecret"]}
        await http.post("/api/ai-callback", json={"requestId": request_id, "error": "Unlogged error"}, headers=own)
        await http.post("/api/ai-callback", json={"requestId": request_id}, headers={"X-Callback-Secret": "Unlogged"})
        await http.get("/api/ai-status/x%0aforged%20line", headers={"Authorization": "Bearer Unlogged.token.x"})
    await asyncio.to_thread(process.terminate)
    lines = [line for line in process.output().splitlines() if line.startswith("{")]
    events = [json.loads(line) for line in lines]
    assert {"submitted", "dispatched", "changed", "callback_unauthorized"} <= {event["event"] for event in events}
    assert any(event.get("request_id") == request_id for event in events)
    output = process.output()
    for hidden in (*secrets.values(), token, own["X-Callback-Secret"], "Unlogged", "\nforged line"):
        assert hidden not in output


async def test_an_outage_of_the_database_is_told_once_by_all(tmp_path: Path, spawned: list[GatewayProcess]) -> None:
    """Two processes, one of which is restarted meanwhile, and a PostgreSQL that dies and comes back."""
    with Postgres() as postgres, Valkey() as valkey:
        async with alert_receiver() as receiver:
            await asyncio.to_thread(migrations.upgrade, postgres.url())
            environment = {
                "DATABASE_URL": postgres.url(),
                "REDIS_URL": valkey.url,
                "APP_URL": BALANCER,
                "N8N_WEBHOOK_URL": "http://127.0.0.1:1/",
                "ALERT_WEBHOOK_URL": receiver.url,
            }

            def serve() -> ServingProcess:
                process = ServingProcess(folder=tmp_path, environment=environment)
                spawned.append(process)
                process.wait_until_ready()
                return process

            async def told(count: int) -> None:
                await eventually(lambda: asyncio.sleep(0, len(receiver.messages) >= count), 60)

            first, second = await asyncio.gather(asyncio.to_thread(serve), asyncio.to_thread(serve))
            await asyncio.to_thread(postgres.kill)
            await told(1)
            assert receiver.notified() == [("database_away", "firing")]
            await asyncio.to_thread(first.kill)
            await asyncio.to_thread(postgres.start)
            successor = await asyncio.to_thread(serve)
            await told(2)
            away = 'gateway_alert{name="database_away"} 1.0'
            async with httpx.AsyncClient(trust_env=False) as http:

                async def nobody_shows_it() -> bool:
                    shown = [(await http.get(f"{process.url}/metrics")).text for process in (second, successor)]
                    return not any(away in text for text in shown)

                await eventually(nobody_shows_it, 30)
            assert receiver.notified() == [("database_away", "firing"), ("database_away", "resolved")]
