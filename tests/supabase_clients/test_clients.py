"""The original design's channel code with Supabase's real clients, unmodified."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from starlette.responses import JSONResponse, Response

from gateway.auth.tokens import issue_token
from gateway.settings import DEVELOPMENT_SECRETS, Settings
from storage.database.open import open_database
from tests.channels import binding
from tests.people import People, Person
from tests.processes.spawning import ServingProcess
from tests.running import RunningGateway, eventually, running_gateway
from tests.scripted_n8n import Received, ScriptedN8n
from tests.servers import Valkey
from tests.supabase_clients.driving import CLIENTS, running_client, running_snippet, watching

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

once = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture(params=CLIENTS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def started(gateway: RunningGateway, person: Person) -> str:
    request_id = await gateway.submitted(person.id)
    await gateway.until(person.id, request_id, "processing")
    return request_id


async def complete(gateway: RunningGateway, request_id: str) -> None:
    answer = await gateway.callback({"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"})
    assert answer.json() == {"success": True}


async def progress(gateway: RunningGateway, request_id: str, percent: int) -> None:
    await gateway.callback({"requestId": request_id, "status": "processing", "progress": percent})


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_the_documents_channel(gateway: RunningGateway, ada: Person, n8n: ScriptedN8n, name: str) -> None:
    """Pending, processing, completed; subscribed in the tick in which the client is made, before it knows its token."""
    go_on = asyncio.Event()

    async def script(received: Received) -> Response:
        await go_on.wait()
        return JSONResponse({"message": "Workflow was started"})

    n8n.script = script
    request_id = await gateway.submitted(ada.id)
    asked = watching(request_id)
    async with running_client(name, gateway.url, token=gateway.token(ada.id), subscribe=asked) as client:
        pending = await client.until_row(status="pending")
        assert (pending["id"], pending["requestId"], pending["version"]) == (request_id, request_id, 1)
        go_on.set()
        await client.until_row(status="processing")
        await complete(gateway, request_id)
        row = await client.until_row(status="completed")
        assert row["publicUrl"] == (await gateway.body(ada.id, request_id))["publicUrl"]
        assert (row["storage_key"], row["user_id"]) == ("b/a.png", ada.id)
        versions = [row["version"] for row in client.rows]
        assert versions == sorted(set(versions))
        assert {change["eventType"] for change in client.changes} == {"UPDATE"}
        assert client.changes[-1]["old"] == {"id": request_id}


@once
async def test_inserts_and_everything(gateway: RunningGateway, ada: Person, name: str) -> None:
    mine = f"user_id=eq.{ada.id}"
    asked = {"channel": "mine", "bindings": [binding("INSERT", mine), binding("*", mine), binding("UPDATE")]}
    async with running_client(name, gateway.url, token=gateway.token(ada.id), subscribe=asked) as client:

        async def live() -> bool:  # a first join without a token is granted too
            return gateway.state.hub.subscribers == 1 and client.statuses[-1:] == ["SUBSCRIBED"]

        await eventually(live)
        request_id = await started(gateway, ada)
        await complete(gateway, request_id)
        await client.until(
            lambda told: len([t for t in told if t.get("change", {}).get("new", {}).get("storageKey")]) == 2
        )
        bound = [(told["bound"], told["change"]["eventType"]) for told in client.told if "change" in told]
        assert bound.count(("INSERT", "INSERT")) == bound.count(("*", "INSERT")) == 1
        assert {event for event, _ in bound[-2:]} == {"*", "UPDATE"}
        assert {told["change"]["new"]["id"] for told in client.told if "change" in told} == {request_id}


@once
async def test_strict_mode(gateway: RunningGateway, ada: Person, name: str) -> None:
    request_id = await started(gateway, ada)
    async with running_client(name, gateway.url) as client:
        await client.do("setAuth", token=gateway.token(ada.id))
        await client.do("strict", **watching(request_id))
        await client.until_row(status="processing")
        await complete(gateway, request_id)
        await client.until_row(status="completed")
        assert gateway.state.hub.subscribers == 1


@once
async def test_a_token_is_refreshed_and_one_expires(gateway: RunningGateway, ada: Person, name: str) -> None:
    request_id = await started(gateway, ada)
    async with running_client(name, gateway.url) as client:
        first_ends = time.time() + 12
        await client.do("setAuth", token=gateway.token(ada.id, lifetime=12))
        await client.do("subscribe", **watching(request_id))
        await client.until_row(status="processing")
        await client.do("setAuth", token=gateway.token(ada.id))
        await asyncio.sleep(first_ends + 0.5 - time.time())
        await progress(gateway, request_id, 10)
        await client.until_row(progress=10)
        assert client.statuses == ["SUBSCRIBED"], "nothing has happened to the channel"
        await client.do("setAuth", token=gateway.token(ada.id, lifetime=2))
        await client.until_status("CHANNEL_ERROR")
        await progress(gateway, request_id, 20)
        await client.do("setAuth", token=gateway.token(ada.id))
        await client.until_row(progress=20)
        await progress(gateway, request_id, 30)
        await client.until_row(progress=30)


@once
async def test_signing_out(gateway: RunningGateway, ada: Person, name: str) -> None:
    request_id = await started(gateway, ada)
    asked = watching(request_id)
    async with running_client(name, gateway.url, token=gateway.token(ada.id), subscribe=asked) as client:
        await client.until_row(status="processing")
        await client.do("signOut")

        async def nobody() -> bool:
            return gateway.state.hub.subscribers == 0

        await eventually(nobody)
        await complete(gateway, request_id)
        assert {row["status"] for row in client.rows} == {"processing"}
        await client.do("signIn", token=gateway.token(ada.id))
        await client.until_row(status="completed")


@once
async def test_another_user_is_told_nothing_and_does_not_come_back(
    gateway: RunningGateway, ada: Person, eve: Person, name: str
) -> None:
    request_id = await started(gateway, ada)
    async with running_client(name, gateway.url) as client:
        await client.do("setAuth", token=gateway.token(eve.id))
        await client.do("subscribe", **watching(request_id))
        await client.until_status("CLOSED")
        assert client.statuses[0] == "CHANNEL_ERROR"
        assert any("no such request of yours" in error for error in client.errors)
        told = len(client.told)
        await complete(gateway, request_id)
        await asyncio.sleep(3)  # a client that comes back does so after one or two seconds
        assert client.changes == []
        assert len(client.told) == told


@once
async def test_an_anonymous_client_is_told_nothing(gateway: RunningGateway, ada: Person, name: str) -> None:
    request_id = await started(gateway, ada)
    async with running_client(name, gateway.url, subscribe=watching(request_id)) as client:
        await client.until(lambda _: any("sign in first" in error for error in client.errors))
        await complete(gateway, request_id)
        assert client.statuses.count("SUBSCRIBED") <= 2
        assert client.changes == []
        await client.do("setAuth", token=gateway.token(ada.id))
        await client.until_row(status="completed")


README = Path(__file__).parents[2] / "gateway" / "realtime" / "supabase" / "README.md"


@once
@pytest.mark.parametrize("version", ["newest", "v276"])
async def test_the_snippet_of_the_page(gateway: RunningGateway, ada: Person, version: str) -> None:
    """Only the socket is pointed here; everything else stays with Supabase."""
    found = re.search(r"<!-- the snippet -->\n```js\n(.+?)```", README.read_text(), re.DOTALL)
    assert found is not None
    request_id = await started(gateway, ada)
    token = gateway.token(ada.id)
    async with running_snippet(version, gateway.url, found[1], token=token, request_id=request_id) as client:
        await client.until_row(status="processing")
        await complete(gateway, request_id)
        assert (await client.until_row(status="completed"))["publicUrl"].endswith("/b/a.png")


# -- what breaks ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def restarting(database_url: str, n8n: ScriptedN8n, tmp_path: Path) -> AsyncIterator["Restarting"]:
    gateway = Restarting(tmp_path, {"DATABASE_URL": database_url, "N8N_WEBHOOK_URL": n8n.url, "DRAIN_SECONDS": "1"})
    await gateway.start()
    yield gateway
    await asyncio.to_thread(gateway.process.close)


class Restarting:
    """A gateway process that comes back at the same port."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.process = ServingProcess(folder=folder, environment=environment)
        self._folder, self._environment = folder, environment

    async def start(self) -> None:
        await asyncio.to_thread(self.process.wait_until_ready)

    async def restart(self) -> None:
        port = self.process.port
        await asyncio.to_thread(self.process.terminate)
        self.process.close()
        self.process = ServingProcess(folder=self._folder, environment=self._environment, port=port)
        await self.start()


def token_of(person: Person) -> str:
    return issue_token(DEVELOPMENT_SECRETS["supabase_jwt_secret"], person.id, admin=False, lifetime=3600)


@once
async def test_the_gateway_restarts(
    restarting: Restarting, database_url: str, users_table: str, n8n: ScriptedN8n, name: str
) -> None:
    """What happens before the client is back is not missed."""
    # No gateway may have the file while another tool makes a user: SQLite's lock is the gateway's own.
    await asyncio.to_thread(restarting.process.terminate)
    async with open_database(database_url) as database:
        ada = await People(database, users_table).person()
    await restarting.restart()
    headers = {"Authorization": f"Bearer {token_of(ada)}"}
    async with httpx.AsyncClient(base_url=restarting.process.url, verify=False, timeout=20) as http:
        body = {"Product": "Shoes", "Your Brand": "Nike"}
        request_id = (await http.post("/api/ai-generate", json=body, headers=headers)).json()["requestId"]
        received = await n8n.until_received(request_id)
        async with running_client(name, restarting.process.url) as client:
            await client.do("setAuth", token=token_of(ada))
            await client.do("subscribe", **watching(request_id))
            await client.until_row(status="processing")
            await restarting.restart()
            assert (await n8n.call_back(received, status="completed", Key="b/a.png", Id="1")).status_code == 200
            await client.until_row(status="completed")
            versions = [row["version"] for row in client.rows]
            assert versions == sorted(versions)


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A server that a test may break."""
    with Valkey() as server:
        yield server


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_redis_restarts(settings: Settings, users_table: str, own_valkey: Valkey, name: str) -> None:
    redis_url = Settings.load({"redis_url": own_valkey.url}).redis_url
    async with running_gateway(settings.model_copy(update={"redis_url": redis_url})) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await started(gateway, ada)
        async with running_client(name, gateway.url) as client:
            await client.do("setAuth", token=gateway.token(ada.id))
            await client.do("subscribe", **watching(request_id))
            await client.until_row(status="processing")
            own_valkey.kill()
            await progress(gateway, request_id, 10)  # this process tells itself, whatever the bus does
            own_valkey.start()
            await progress(gateway, request_id, 20)
            await client.until_row(progress=20)
            await complete(gateway, request_id)
            await client.until_row(status="completed")
            assert client.statuses == ["SUBSCRIBED"]
