"""The page about deploying: what it says to proxies and to Redis is tried."""

from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.asyncio.client import connect

from gateway.cli.probes.redis_server import LEAST_RIGHTS
from tests.event_streams import next_status
from tests.markdown import ROOT, code
from tests.nginx import nginx
from tests.people import Person
from tests.running import RunningGateway, receive, send

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
