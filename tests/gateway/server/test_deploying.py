"""The page about deploying: what it says to proxies and to Redis is tried."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from websockets.asyncio.client import connect

from gateway.cli.probes.redis_server import LEAST_RIGHTS
from gateway.server.listener import bind
from gateway.settings import Settings
from storage import migrations
from tests.event_streams import next_status
from tests.haproxy import haproxy
from tests.markdown import ROOT, code
from tests.nginx import nginx
from tests.people import People, Person
from tests.running import RunningGateway, eventually, receive, running_gateway, send, serving
from tests.servers import Postgres, Valkey, free_port

PAGE = ROOT / "gateway" / "server" / "README.md"


def test_the_least_rights_in_redis_are_those_that_check_asks_for() -> None:
    (block,) = [block for block in code(PAGE, "text") if block.startswith("ACL SETUSER")]
    words = block.replace("\\\n", " ").split()
    assert words[5:] == LEAST_RIGHTS.split()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_nginx_as_the_page_has_it(gateway: RunningGateway, ada: Person, tmp_path: Path) -> None:
    """Pages, long cookies, an h2c offer, WebSockets and event streams that arrive as they happen."""
    (block,) = code(PAGE, "nginx")
    port = urlsplit(gateway.url).port
    bearer = gateway.bearer(ada.id)
    async with (
        nginx(tmp_path, block.replace("127.0.0.1:8000", f"127.0.0.1:{port}")) as url,
        httpx.AsyncClient(base_url=url, timeout=15) as http,
    ):
        long_cookie = {"Cookie": "session=" + "x" * 20_000}
        assert (await http.get("/", headers=long_cookie)).status_code == 200
        offered = {
            "Upgrade": "h2c",
            "Connection": "Upgrade, HTTP2-Settings",
            "HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA",
        }
        submission = {"Product": "Shoes", "Your Brand": "Nike"}
        answer = await http.post("/api/ai-generate", json=submission, headers=bearer | offered)
        assert answer.status_code == 202, answer.text
        request_id = answer.json()["requestId"]
        await gateway.until(ada.id, request_id, "processing")
        async with connect(
            url.replace("http", "ws") + "/ws", additional_headers=bearer | long_cookie, proxy=None
        ) as ws:
            assert (await receive(ws))["type"] == "welcome"
            await send(ws, type="subscribe", requestIds=[request_id])
            assert (await receive(ws))["type"] == "subscribed"
            async with http.stream("GET", f"/api/ai-status/{request_id}/events", headers=bearer) as stream:
                lines = stream.aiter_lines()
                assert await next_status(lines) == "processing"
                await gateway.callback({"requestId": request_id, "status": "completed", "Key": "b/a.png", "Id": "1"})
                assert await next_status(lines) == "completed"
            assert (await receive(ws))["request"]["status"] == "completed"


@contextlib.asynccontextmanager
async def counted_probes(gateway: RunningGateway) -> AsyncIterator[tuple[int, list[int]]]:
    """A port whose /readyz is the gateway's, and the statuses that it has answered."""
    answered: list[int] = []

    async def readyz(request: Request) -> Response:
        status = (await gateway.http.get("/readyz")).status_code
        answered.append(status)
        return Response(status_code=status)

    app = Starlette(routes=[Route("/readyz", readyz)])
    listener = bind("127.0.0.1", 0)
    async with serving(app, uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"), listener):
        yield listener.getsockname()[1], answered


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_haproxy_as_the_page_has_it_serves_on_without_redis(
    settings: Settings, users_table: str, tmp_path: Path
) -> None:
    """One that is degraded can serve, and stays; one that can write nothing is left alone until it can again."""
    (block,) = code(PAGE, "haproxy")
    with Postgres() as postgres, Valkey() as valkey:
        await asyncio.to_thread(postgres.execute, "CREATE DATABASE migrated")
        await asyncio.to_thread(migrations.upgrade, postgres.url("migrated"))
        own = Settings.load({"database_url": postgres.url("migrated"), "redis_url": valkey.url})
        own = settings.model_copy(update={"database_url": own.database_url, "redis_url": own.redis_url})
        async with running_gateway(own) as gateway, counted_probes(gateway) as (probe_port, answered):
            ada = await People(gateway.state.database, users_table).person()
            block = block.replace("127.0.0.1:8000 check inter 2s", f"GATEWAY check port {probe_port} inter 100ms")
            block = block.replace("127.0.0.1:8001", f"127.0.0.1:{free_port()}")  # another that is away
            block = block.replace("GATEWAY", f"127.0.0.1:{urlsplit(gateway.url).port}")

            async def probed(status: int, times: int = 10) -> None:
                before = len(answered)
                await eventually(lambda: asyncio.sleep(0, answered[before:].count(status) >= times), 60)

            async with haproxy(tmp_path, block, "gateway") as url, httpx.AsyncClient(base_url=url, timeout=15) as http:

                async def status() -> int:
                    return (await http.get("/api/usage", headers=gateway.bearer(ada.id))).status_code

                async def is_served() -> bool:
                    return await status() == 200

                await eventually(is_served)
                valkey.kill()
                await eventually(lambda: _is(gateway, "degraded"))
                await probed(200)
                assert await status() == 200
                await asyncio.to_thread(postgres.fence)
                await probed(503)
                assert await status() == 503, "HAProxy's own: nobody is ready"


async def _is(gateway: RunningGateway, status: str) -> bool:
    return bool((await gateway.http.get("/readyz")).json()["status"] == status)
