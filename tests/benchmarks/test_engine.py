"""The benchmark's own judgement: what it calls missed, coalesced, duplicated, and what it says to the gateway's bus."""

import asyncio
import collections
import os
import shutil
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from gateway.realtime.update import decode_update
from tests.benchmarks.engine import installation, machine, messages
from tests.benchmarks.engine.bus_messages import publish_update
from tests.benchmarks.engine.load_client import Client, LoadClient, Publisher
from tests.benchmarks.engine.results import Result
from tests.benchmarks.engine.rows.delivery import is_sustained
from tests.benchmarks.engine.table import table
from tests.servers import free_port

CHANNELS = 5
FAITHFUL, SKIPPING, DEAF, REPEATING, SWAPPING = range(CHANNELS)

needs_the_tools = pytest.mark.skipif(
    not (
        {machine.SERVER_CORE, machine.CLIENT_CORE} <= os.sched_getaffinity(0)
        and all(shutil.which(name) for name in ("gcc", "taskset", "setpriv"))
    ),
    reason="needs two cores, a C compiler, taskset and setpriv",
)


class ScriptedServer:
    """Delivers on each channel with another fault, and keeps count of what was published."""

    def __init__(self) -> None:
        self.published: collections.Counter[int] = collections.Counter()
        self._connections: dict[int, ServerConnection] = {}
        self._held = ""

    async def on_connection(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self._connections[int(connection.request.path.rpartition("=")[2])] = connection
        await connection.wait_closed()

    async def on_publisher(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := (await reader.readline()).decode():
            channel = int(line.split(":")[1])
            self.published[channel] += 1
            for message in self._deliveries(channel, line):
                await self._connections[channel].send(message)
        writer.close()

    def _deliveries(self, channel: int, line: str) -> list[str]:
        is_odd = self.published[channel] % 2 == 1
        if channel == DEAF or (channel == SKIPPING and is_odd):
            return []
        if channel == REPEATING:
            return [line, line]
        if channel != SWAPPING:
            return [line]
        if is_odd:
            self._held = line
            return []
        return [line, self._held]


@needs_the_tools
async def test_the_load_client_tells_faults_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    installation.native.cache_clear()
    server, port, publish_port = ScriptedServer(), free_port(), free_port()
    client = Client(
        path=f"/?c={messages.CHANNEL}",
        publisher=Publisher("tcp", publish_port, messages.MARKER.encode() + b"\n"),
        spins=False,
    )
    async with (
        serve(server.on_connection, "127.0.0.1", port, compression=None),
        await asyncio.start_server(server.on_publisher, "127.0.0.1", publish_port),
    ):
        with LoadClient(client, port, tmp_path) as load:
            opened = await asyncio.to_thread(load.ask, f"open {CHANNELS} own")
            result = await asyncio.to_thread(load.ask, f"publish 500 1 {CHANNELS}")
            await asyncio.to_thread(load.ask, "close")
    count = server.published
    assert opened["open"] == CHANNELS
    assert result["sent"] == count.total() == 500
    assert result["delivered"] == count[FAITHFUL] + count[SKIPPING] // 2 + count[REPEATING] + count[SWAPPING] // 2
    assert result["coalesced"] == count[SKIPPING] // 2 + count[SWAPPING] // 2
    assert result["missed"] == count[DEAF] + count[SKIPPING] % 2 + count[SWAPPING] % 2
    assert result["duplicated"] == count[REPEATING]
    assert result["reordered"] == count[SWAPPING] // 2
    assert not is_sustained(result)


def test_the_gateways_bus_understands_the_message() -> None:
    command = publish_update("identity")
    for token, digits in ((messages.CHANNEL, "000000000042"), (messages.VERSION, "1000000001")):
        command = command.replace(token.encode(), digits.encode())
    verb, channel, message = command.split(b"\r\n")[2::2]
    update = decode_update(message)
    assert verb == b"PUBLISH"
    assert update.user_id == "00000000-0000-4000-8000-000000000042"
    assert channel.decode().endswith(update.user_id)
    assert update.version == 1000000001
    assert len(bytes(update.body)) == messages.SIZE
    assert b"bench:000000000042:1000000001:" in bytes(update.body)


def test_the_table_shows_ratios_goals_and_who_is_missing() -> None:
    common = {"offered": 1000, "coalesced": 0, "p50_us": 500, "p99_us": 900, "redis_us": 1.0}
    results = [
        Result("delivery", "gateway", values={**common, "rate": 1000.0, "server_us": 20.0, "idle": 0.5}),
        Result("delivery", "nchan", values={**common, "rate": 5000.0, "server_us": 10.0, "idle": 0.01}),
        Result("delivery", "nats", error="nats-server is not installed: apt-get install nats-server"),
    ]
    text = table(results)
    assert "| 1,000 | 5,000 (×5.00) | – | **≥ 45,000** |" in text
    assert "| 20.0 | 10.0 (×0.50) | – | **≤ 13** |" in text
    assert "nchan delivery: the load client had only 1% of its time left" in text
    assert "nats was not measured (delivery): nats-server is not installed" in text
