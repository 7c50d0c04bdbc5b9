"""A real client in a process of its own, as a test drives it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from tests.channels import API_KEY, binding
from tests.supabase_clients import installation

SECONDS = 40.0
"""Longest wait for what a client may have to come back for: it waits up to ten seconds before it tries again."""

CLIENTS = (*installation.JAVASCRIPT, "python")


class Client:
    """What the app has been told, in order, and what it is to do."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.told: list[dict[str, Any]] = []
        self._more = asyncio.Event()

    async def listen(self) -> None:
        """Take down what the process says, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.told.append(json.loads(line))
            self._more.set()

    async def do(self, command: str, **arguments: Any) -> None:
        """Let the app do something, and wait until it has."""
        assert self._process.stdin is not None
        done = len([told for told in self.told if "done" in told])
        self._process.stdin.write(json.dumps({"do": command, **arguments}).encode() + b"\n")
        await self.until(lambda told: len([one for one in told if "done" in one]) > done)

    async def until(self, condition: Callable[[list[dict[str, Any]]], Any]) -> None:
        """Wait until what was told meets the condition."""
        try:
            async with asyncio.timeout(SECONDS):
                while not condition(self.told):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError("\n".join(["it was never told that; only:", *map(str, self.told)])) from None

    async def until_status(self, status: str, times: int = 1) -> None:
        await self.until(lambda _: self.statuses.count(status) >= times)

    async def until_row(self, **columns: Any) -> dict[str, Any]:
        """The first change whose new row has these values."""

        def matching() -> list[dict[str, Any]]:
            return [row for row in self.rows if all(row.get(name) == value for name, value in columns.items())]

        await self.until(lambda _: matching())
        return matching()[0]

    @property
    def statuses(self) -> list[str]:
        return [told["status"] for told in self.told if "status" in told]

    @property
    def errors(self) -> list[str]:
        return [told["error"] for told in self.told if told.get("error")]

    @property
    def changes(self) -> list[dict[str, Any]]:
        return [told["change"] for told in self.told if "change" in told]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [change["new"] for change in self.changes]


def watching(request_id: str) -> dict[str, Any]:
    """The original document's channel."""
    return {"channel": f"ai-request-{request_id}", "bindings": [binding("UPDATE", f"id=eq.{request_id}")]}


@contextlib.asynccontextmanager
async def running_client(
    name: str, url: str, *, token: str | None = None, subscribe: dict[str, Any] | None = None, key: str = API_KEY
) -> AsyncIterator[Client]:
    """A client of the gateway at `url`; with a token it is signed in, and it may subscribe as soon as it is made."""
    asked = json.dumps({"url": url, "key": key, "token": token, "subscribe": subscribe})
    here = Path(__file__).parent
    if name == "python":
        command = [str(await asyncio.to_thread(installation.python)), str(here / "client.py"), asked]
    else:
        folder = await asyncio.to_thread(installation.javascript)
        command = ["node", str(here / "client.mjs"), str(folder), name, asked]
    async with _running(command) as client:
        yield client


@contextlib.asynccontextmanager
async def running_snippet(name: str, url: str, code: str, *, token: str, request_id: str) -> AsyncIterator[Client]:
    """The README's snippet in an app of Supabase's, whose session has the token."""
    folder = await asyncio.to_thread(installation.javascript)
    asked = json.dumps({"url": url, "key": API_KEY, "token": token, "requestId": request_id, "code": code})
    async with _running(["node", str(Path(__file__).parent / "snippet.mjs"), str(folder), name, asked]) as client:
        yield client


@contextlib.asynccontextmanager
async def _running(command: list[str]) -> AsyncIterator[Client]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=1024 * 1024)
    client = Client(process)
    listening = asyncio.create_task(client.listen())
    try:
        yield client
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await listening
