"""The same floods through Debian's nginx, which passes frames on as they come and drops slow heads by itself.

It needs `apt install nginx`.
"""

import asyncio
import itertools
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect

from tests.gateway.server.raw import peer
from tests.nginx import nginx
from tests.people import Person
from tests.processes.conftest import bearer
from tests.processes.hostile import CHUNK, FLOODS, SERVED, STATES, WEBSOCKETS, enter, flood, silence
from tests.processes.test_hostile_peers import END_SECONDS, FLOOD, Measured, measured, token_of
from tests.running import receive

__all__ = ["measured"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("backend", ["sqlite"], indirect=True),
]


def before(port: int) -> str:
    """nginx that passes upgrades on, as the page about deploying has it."""
    return (
        f"location / {{ proxy_pass http://127.0.0.1:{port}; proxy_http_version 1.1; "
        'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; }'
    )


async def test_floods_through_nginx_make_nobody_wait(measured: Measured, ada: Person, tmp_path: Path) -> None:
    upstream = urlsplit(measured.process.url).port
    assert upstream is not None
    folder = tmp_path / "nginx"
    folder.mkdir()
    async with nginx(folder, before(upstream)) as url:

        async def rush(kind: str, state: str, size: int) -> None:
            async with peer(url) as connection:
                await enter(connection, state, token_of(ada))
                await flood(connection, kind, size)
                await silence(connection, END_SECONDS)

        websocket = url.replace("http", "ws") + "/ws"
        async with connect(websocket, additional_headers=bearer(ada), proxy=None) as beside:
            assert (await receive(beside))["type"] == "welcome"
            async with measured.calm():
                floods = [(kind, state, FLOOD) for kind in FLOODS for state in WEBSOCKETS[:2]]
                # nginx serves what it is sent in the others, a request at a time.
                others = sorted({*STATES, *SERVED} - {*WEBSOCKETS[:2]})
                floods += [(kind, state, CHUNK) for kind, state in zip(itertools.cycle(FLOODS), others, strict=False)]
                rushing = [asyncio.create_task(rush(*one)) for one in floods]
                pings = 0
                while not all(task.done() for task in rushing):
                    await beside.send(json.dumps({"type": "ping", "ref": pings}))
                    assert await receive(beside) == {"type": "pong", "ref": pings}
                    pings += 1
                    await asyncio.sleep(0.1)
            for task in rushing:
                await task
    assert "Traceback" not in measured.process.output()


async def test_silence_and_drips_of_sockets_end_through_nginx(measured: Measured, ada: Person, tmp_path: Path) -> None:
    """Slow heads and bodies are nginx's to end; what it has passed on is ours."""
    upstream = urlsplit(measured.process.url).port
    assert upstream is not None
    folder = tmp_path / "nginx"
    folder.mkdir()
    async with nginx(folder, before(upstream)) as url:

        async def quiet(state: str, dripping: bool) -> tuple[str, float]:
            async with peer(url) as connection:
                await enter(connection, state, token_of(ada))
                if dripping:
                    return f"{state}, dripping", await connection.drip(b"\x81\xfe", 0.5)
                return state, await silence(connection, END_SECONDS)

        async with measured.calm():
            ended = await asyncio.gather(*(quiet(state, how) for state in WEBSOCKETS for how in (False, True)))
    assert {state: seconds for state, seconds in ended if seconds >= END_SECONDS} == {}


async def test_a_post_that_asks_for_h2c_is_served_through_nginx(measured: Measured, tmp_path: Path) -> None:
    """nginx passes the wish on; a callback must not be lost to it."""
    upstream = urlsplit(measured.process.url).port
    assert upstream is not None
    folder = tmp_path / "nginx"
    folder.mkdir()
    async with nginx(folder, before(upstream)) as url, peer(url) as connection:
        body = b'{"requestId": "00000000-0000-4000-8000-000000000000", "status": "processing"}'
        await connection.say(
            b"POST /api/ai-callback HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Type: application/json\r\n"
            b"X-Callback-Secret: wrong\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        heard = await connection.hear()
    assert heard.startswith(b"HTTP/1.1 401 "), "read, and answered for what it is"
