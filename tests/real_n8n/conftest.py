"""A real n8n with both workflows, two gateway processes with PostgreSQL and Valkey, and the world around them."""

import asyncio
import contextlib
import itertools
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from gateway.settings import DEVELOPMENT_SECRETS
from storage.database.base import Database
from storage.database.open import open_database
from tests.people import People, Person
from tests.processes.conftest import bearer
from tests.processes.spawning import ServingProcess, closing_all
from tests.real_n8n.installation import VERSIONS
from tests.real_n8n.n8n_server import WORKFLOWS, RealN8n
from tests.real_n8n.world import PROVIDER_KEY, SERVICE_KEY, World, running_world
from tests.servers import Postgres, Valkey, free_port

FINAL = ("completed", "failed")

WORLD_PORT, GATEWAY_PORT, OTHER_PORT = (free_port() for _ in range(3))
GATEWAY_URL = f"http://127.0.0.1:{GATEWAY_PORT}"
"""Known to n8n before any test begins: the imported workflows name it."""


def imported(name: str, **values: str) -> dict[str, Any]:
    """The shipped workflow, with what a person sets in its node "Settings"."""
    workflow: dict[str, Any] = json.loads((WORKFLOWS / name).read_text())
    (settings,) = (node for node in workflow["nodes"] if node["name"] == "Settings")
    for assignment in settings["parameters"]["assignments"]["assignments"]:
        assignment["value"] = values.pop(assignment["name"], assignment["value"])
    assert not values, f"{name} has no setting {values}"
    return workflow


def synchronous_workflow() -> dict[str, Any]:
    """A workflow of the time before callbacks: it answers when its last node has finished."""
    workflow = imported("ai-image.json")
    webhook, provider = (n for n in workflow["nodes"] if n["name"] in ("Webhook", "Generate image"))
    webhook["parameters"] |= {"path": "synchronous", "responseMode": "lastNode", "options": {}}
    webhook["webhookId"] = "synchronous"
    provider["parameters"]["url"] = f"http://127.0.0.1:{WORLD_PORT}/v1/images/generations"
    provider["parameters"]["jsonBody"] = (
        "={{ JSON.stringify({ prompt: 'A picture of ' + $('Webhook').first().json.body.Product + ' for Nike' }) }}"
    )
    key = "=ai-images/{{ $('Webhook').first().json.body.requestId }}.png"
    assignments = [
        {"id": name, "name": name, "type": "string", "value": value} for name, value in (("Key", key), ("Id", "1"))
    ]
    last = {
        "id": "last",
        "name": "Last",
        "type": "n8n-nodes-base.set",
        "typeVersion": 3.4,
        "position": [880, 0],
        "parameters": {"mode": "manual", "assignments": {"assignments": assignments}, "options": {}},
    }
    del provider["onError"]
    return {
        **workflow,
        "id": "synchronous",
        "name": "Synchronous",
        "nodes": [webhook, provider, last],
        "connections": {
            "Webhook": {"main": [[{"node": "Generate image", "type": "main", "index": 0}]]},
            "Generate image": {"main": [[{"node": "Last", "type": "main", "index": 0}]]},
        },
        "settings": {"executionOrder": "v1"},
    }


def careless_workflow() -> dict[str, Any]:
    """The shipped workflow after somebody has removed the error output of a node."""
    workflow = imported("ai-image.json", providerUrl=f"http://127.0.0.1:{WORLD_PORT}/v1/images/generations")
    webhook, provider = (n for n in workflow["nodes"] if n["name"] in ("Webhook", "Generate image"))
    webhook["parameters"]["path"] = webhook["webhookId"] = "careless"
    del provider["onError"]
    return {**workflow, "id": "careless", "name": "Careless"}


def header(identity: str, name: str, value: str) -> dict[str, Any]:
    data = {"name": name, "value": value}
    return {"id": identity, "name": identity, "type": "httpHeaderAuth", "data": data}


@contextlib.contextmanager
def running(server: RealN8n) -> Iterator[RealN8n]:
    """The server with credentials, workflows and a key, until it is killed."""
    try:
        webhook_secret = DEVELOPMENT_SECRETS["n8n_webhook_secret"]
        world = f"http://127.0.0.1:{WORLD_PORT}"
        server.import_credentials(
            [
                header("aiGatewayWebhook", "X-Webhook-Secret", webhook_secret),
                header("aiGatewayProvider", "Authorization", f"Bearer {PROVIDER_KEY}"),
                header("aiGatewayCallback", "X-Callback-Secret", DEVELOPMENT_SECRETS["ai_callback_secret"]),
                {
                    "id": "aiGatewaySupabase",
                    "name": "Supabase",
                    "type": "supabaseApi",
                    "data": {"host": world, "serviceRole": SERVICE_KEY},
                },
            ]
        )
        server.import_workflows(
            [
                imported("ai-image-errors.json", gatewayUrl=GATEWAY_URL),
                imported("ai-image.json", providerUrl=f"{world}/v1/images/generations", supabaseUrl=world),
                synchronous_workflow(),
                careless_workflow(),
            ]
        )
        server.start()
        server.make_api_key()
        yield server
    finally:
        server.kill()
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(scope="session", params=VERSIONS, ids=lambda version: version.line)
def n8n_server(request: pytest.FixtureRequest) -> Iterator[RealN8n]:
    with running(RealN8n(request.param)) as server:
        yield server


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running_world(WORLD_PORT) as running:
        yield running


_numbers = itertools.count(1)


class Stand:
    """Two gateway processes, one user, and n8n."""

    def __init__(self, n8n: RealN8n, database: Database, environment: dict[str, str], folder: Path) -> None:
        self.n8n = n8n
        self.database = database
        self.folder = folder
        self.environment = environment
        self.processes: list[Any] = []
        self.ada = Person("", ())

    async def start(self, **more: str) -> None:
        """Start both; n8n calls back to the first, and clients watch at the second."""

        def starting() -> None:
            for port in (GATEWAY_PORT, OTHER_PORT):
                environment = {**self.environment, "APP_URL": GATEWAY_URL, **more}
                process = ServingProcess(folder=self.folder, environment=environment, port=port)
                self.processes.append(process)
            for process in self.processes:
                process.wait_until_ready()

        await asyncio.to_thread(starting)

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
            process.close()
        self.processes.clear()

    async def submit(self, product: str) -> str:
        body = {"Product": product, "Your Brand": "Nike"}
        async with httpx.AsyncClient(base_url=GATEWAY_URL, trust_env=False, timeout=15) as http:
            answer = await http.post("/api/ai-generate", json=body, headers=bearer(self.ada))
            assert answer.status_code == 202, answer.text
            return str(answer.json()["requestId"])

    async def watch(self, request_id: str, seconds: float = 60) -> list[dict[str, Any]]:
        """Every Body that a WebSocket at the other process brings, to the final one."""
        bodies: list[dict[str, Any]] = []
        async with (
            asyncio.timeout(seconds),
            connect(f"ws://127.0.0.1:{OTHER_PORT}/ws", additional_headers=bearer(self.ada), proxy=None) as websocket,
        ):
            await websocket.send(json.dumps({"type": "subscribe", "requestIds": [request_id]}))
            while not bodies or bodies[-1]["status"] not in FINAL:
                message = json.loads(await websocket.recv())
                bodies += message.get("requests", []) + ([message["request"]] if "request" in message else [])
        versions = [body["version"] for body in bodies]
        assert versions == sorted(set(versions)), "versions only rise"
        return bodies

    async def assets(self) -> int:
        return len(await self.database.all("SELECT id FROM assets"))

    async def kinds(self, request_id: str) -> list[str]:
        """What happened to the request."""
        events = "SELECT kind FROM ai_request_events WHERE request_id = :id ORDER BY id"
        return [row["kind"] for row in await self.database.all(events, id=request_id)]

    async def progress(self, request_id: str) -> list[int]:
        """Each progress that changed the request, in the order in which they came."""
        events = "SELECT detail FROM ai_request_events WHERE request_id = :id AND kind = 'progressed' ORDER BY id"
        return [json.loads(row["detail"])["progress"] for row in await self.database.all(events, id=request_id)]

    async def check_assets(self) -> None:
        """Each request has at most one asset: exactly one if it was completed, none if it failed."""
        # Every workflow here names the picture for its request. One statement: a completion may be on its way.
        rows = await self.database.all(
            "SELECT r.id, r.status, CAST(r.asset_id AS text) AS asset_id, "
            "array_to_string(ARRAY(SELECT CAST(a.id AS text) FROM assets AS a "
            "WHERE a.file_url LIKE '%/' || CAST(r.id AS text) || '.png'), ' ') AS assets, "
            "(SELECT count(*) FROM assets) AS of_all FROM ai_image_requests AS r"
        )
        for row in rows:
            wanted = {"completed": [1], "failed": [0]}.get(row["status"], [0, 1])
            assets = row["assets"].split()
            assert len(assets) in wanted, f"{row['id']} is {row['status']} and has the assets {assets}"
            assert assets == ([row["asset_id"]] if row["asset_id"] else []), f"{row['id']} does not name its asset"
        assert not rows or rows[0]["of_all"] == sum(len(row["assets"].split()) for row in rows), "assets of no request"


@pytest.fixture
async def stand(
    n8n_server: RealN8n, world: World, postgres: Postgres, valkey: Valkey, tmp_path: Path
) -> AsyncIterator[Stand]:
    name = f"real_{next(_numbers)}"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
    environment = {
        "DATABASE_URL": postgres.url(name),
        "REDIS_URL": valkey.url,
        "SUPABASE_URL": f"http://127.0.0.1:{WORLD_PORT}",
        "N8N_WEBHOOK_URL": f"{n8n_server.url}/webhook/ai-image",
        "N8N_TIMEOUT_SECONDS": "30",
        "N8N_API_URL": n8n_server.url,
        "N8N_API_KEY": n8n_server.api_key,
    }
    async with open_database(postgres.url(name)) as database:
        made = Stand(n8n_server, database, environment, tmp_path)
        made.ada = await People(database, "auth.users").person()
        with closing_all(made.processes):
            yield made
            await made.check_assets()
