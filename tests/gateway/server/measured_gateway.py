"""A gateway that measures its own event loop, and is the real one in everything else.

Every `WINDOW_SECONDS` it appends a line of JSON to the file that `MEASUREMENTS` names: the longest time for which the
loop's thread has computed without a turn for others, in seconds of its own processor time (which a busy machine does
not add to), and the memory that the process uses, in bytes.
"""

import asyncio
import json
import os
import socket
import time
from pathlib import Path

import psutil

from gateway.cli import main
from gateway.server.server import GatewayServer

WINDOW_SECONDS = 0.2
TICK_SECONDS = 0.005


async def measure(path: Path) -> None:
    process = psutil.Process()
    while True:
        longest, until = 0.0, time.monotonic() + WINDOW_SECONDS
        while time.monotonic() < until:
            before = time.thread_time()
            await asyncio.sleep(TICK_SECONDS)
            longest = max(longest, time.thread_time() - before)
        with path.open("a") as file:
            file.write(json.dumps({"block": longest, "memory": process.memory_info().rss}) + "\n")


start = GatewayServer.startup
measuring: list[asyncio.Task[None]] = []


async def startup(self: GatewayServer, sockets: list[socket.socket] | None = None) -> None:
    await start(self, sockets)
    measuring.append(asyncio.create_task(measure(Path(os.environ["MEASUREMENTS"]))))


GatewayServer.startup = startup  # type: ignore[method-assign]

if __name__ == "__main__":
    main()
