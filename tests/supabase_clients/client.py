"""The Python client, told what to do as `client.mjs` is. It runs in an environment of its own and imports no test.

python client.py '{"url", "key", "token"?, "subscribe"?: {"channel", "bindings"}}'
"""

import asyncio
import json
import sys
from typing import Any

from supabase import AsyncClient, AsyncClientOptions, acreate_client  # type: ignore[import-not-found]


def tell(**message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


class App:
    def __init__(self, client: AsyncClient, key: str) -> None:
        self.client = client
        self.key = key
        self.channels: dict[str, Any] = {}

    async def subscribe(self, channel: str, bindings: list[dict[str, Any]]) -> None:
        made = self.channels[channel] = self.client.channel(channel)
        for binding in bindings:

            def changed(payload: dict[str, Any], binding: dict[str, Any] = binding) -> None:
                data = payload["data"]
                change = {"eventType": data["type"], "new": data["record"], "old": data.get("old_record", {})}
                tell(channel=channel, change=change, bound=binding["event"])

            made.on_postgres_changes(
                binding["event"],
                callback=changed,
                table=binding["table"],
                schema=binding["schema"],
                filter=binding.get("filter"),
            )
        await made.subscribe(
            lambda status, error: tell(channel=channel, status=status.value, error=str(error) if error else None)
        )

    async def remove(self, channel: str) -> None:
        await self.client.remove_channel(self.channels.pop(channel))

    async def strict(self, channel: str, bindings: list[dict[str, Any]]) -> None:
        await self.subscribe(channel, bindings)
        await self.remove(channel)
        await self.subscribe(channel, bindings)

    async def setAuth(self, token: str) -> None:  # noqa: N802 - the command's name
        await self.client.realtime.set_auth(token)

    async def signIn(self, token: str) -> None:  # noqa: N802
        await self.client.realtime.set_auth(token)

    async def signOut(self) -> None:  # noqa: N802
        await self.client.realtime.set_auth(self.key)


async def main() -> None:
    asked = json.loads(sys.argv[1])
    options = AsyncClientOptions(realtime={"max_retries": 50})
    app = App(await acreate_client(asked["url"], asked["key"], options), asked["key"])
    if asked.get("token"):
        await app.client.realtime.set_auth(asked["token"])
    if asked.get("subscribe"):
        await app.subscribe(**asked["subscribe"])
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        await getattr(app, command.pop("do"))(**command)
        tell(done=True)


asyncio.run(main())
