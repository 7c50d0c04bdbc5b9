"""Hostile peers: each state of a connection × silence, drip and flood, beside a client that is to notice nothing.

One gateway process, with times shortened by its settings, measures its own loop (`measured_gateway`). No connection
lives longer than its bound, none makes others wait, none takes memory, and in the end the process stops as always.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.conftest import Person
from tests.gateway.server.raw import peer
from tests.processes.conftest import Serve, bearer
from tests.processes.hostile import FLOODS, SERVED, STATES, enter, flood, silence
from tests.processes.spawning import ServingProcess
from tests.running import receive

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("backend", ["sqlite"], indirect=True)]

BLOCK_SECONDS = 0.1
MEMORY = 60_000_000
FLOOD = 4_000_000
END_SECONDS = 40.0
"""The longest bound of all: a head (15 s), a body (10 s), a close (10 s), two pings (4 s), and a busy machine."""


@dataclass
class Measured:
    process: ServingProcess
    path: Path

    def lines(self) -> list[dict[str, float]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    @contextlib.asynccontextmanager
    async def calm(self) -> AsyncIterator[None]:
        """The block below makes nobody wait, and takes little memory."""
        before = self.lines()
        yield
        during: list[dict[str, float]] = []
        async with asyncio.timeout(END_SECONDS):
            while len(during) < 2:  # the window in which the block ended, too
                await asyncio.sleep(0.05)
                during = self.lines()[len(before) :]
        assert max(line["block"] for line in during) < BLOCK_SECONDS
        assert max(line["memory"] for line in during) - before[-1]["memory"] < MEMORY


@pytest.fixture
async def measured(serve: Serve, tmp_path: Path) -> Measured:
    path = tmp_path / "measurements"
    process = await asyncio.to_thread(
        lambda: serve(
            module="tests.gateway.server.measured_gateway",
            MEASUREMENTS=str(path),
            WS_AUTH_SECONDS="2",
            WS_PING_SECONDS="2",
            WS_STALL_SECONDS="2",
            DRAIN_SECONDS="1",
        )
    )
    one = Measured(process, path)
    async with asyncio.timeout(30):
        while len(one.lines()) < 5:
            await asyncio.sleep(0.1)
    return one


def token_of(person: Person) -> str:
    return bearer(person)["Authorization"].removeprefix("Bearer ")


async def test_silence_and_drips_end_everywhere(measured: Measured, ada: Person) -> None:
    async def be_silent(state: str) -> tuple[str, float]:
        async with peer(measured.process.url) as connection:
            await enter(connection, state, token_of(ada))
            return state, await silence(connection, END_SECONDS)

    async def drip(state: str) -> tuple[str, float]:
        async with peer(measured.process.url) as connection:
            await enter(connection, state, token_of(ada))
            return f"{state}, dripping", await connection.drip(b"\x81\xfe", 0.5)

    async with measured.calm():
        ended = await asyncio.gather(*map(be_silent, STATES), *map(drip, STATES))
    assert {state: seconds for state, seconds in ended if seconds >= END_SECONDS} == {}


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_is_cut_and_nobody_else_notices(measured: Measured, ada: Person, kind: str) -> None:
    """A client beside it is answered all the time."""

    async def rush(state: str) -> float:
        async with peer(measured.process.url) as connection:
            await enter(connection, state, token_of(ada))
            began = time.monotonic()
            await flood(connection, kind, FLOOD)
            await silence(connection, END_SECONDS)
            return time.monotonic() - began

    url = measured.process.url.replace("http", "ws") + "/ws"
    async with connect(url, additional_headers=bearer(ada), proxy=None) as beside:
        assert (await receive(beside))["type"] == "welcome"
        async with measured.calm():
            rushing = [asyncio.create_task(rush(state)) for state in STATES + SERVED]
            pings = 0
            while not all(task.done() for task in rushing):
                await beside.send(json.dumps({"type": "ping", "ref": pings}))
                assert await receive(beside) == {"type": "pong", "ref": pings}
                pings += 1
                await asyncio.sleep(0.1)
        assert max([await task for task in rushing]) < END_SECONDS
    assert "Traceback" not in measured.process.output(), measured.process.output()


async def test_4_mb_of_empty_pings_make_nobody_wait(measured: Measured) -> None:
    """They used to make the process deaf for seconds."""
    async with (
        httpx.AsyncClient(base_url=measured.process.url, verify=False) as http,
        peer(measured.process.url) as loud,
    ):
        await enter(loud, "an unauthenticated WebSocket", "")
        async with measured.calm():
            flooding = asyncio.create_task(flood(loud, "pings", FLOOD))
            while not flooding.done():
                assert (await http.get("/healthz")).status_code == 200
        await flooding
        assert await silence(loud, END_SECONDS) < END_SECONDS


async def test_a_stop_waits_for_none_of_them(measured: Measured, ada: Person) -> None:
    """Half of them do not even read."""
    async with contextlib.AsyncExitStack() as stack:
        for reads in (True, False):
            for state in STATES:
                connection = await stack.enter_async_context(peer(measured.process.url))
                await enter(connection, state, token_of(ada))
                if not reads:
                    await connection.say(b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
        began = time.monotonic()
        assert await asyncio.to_thread(measured.process.terminate) == 0
        assert time.monotonic() - began < 1 + 5 + 10
    output = measured.process.output()
    assert "Traceback" not in output
    assert "AssertionError" not in output
