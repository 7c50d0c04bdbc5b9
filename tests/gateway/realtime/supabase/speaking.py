"""What the tests of the protocol share: requests in a running gateway, and the ends of connections."""

import asyncio
import contextlib

import pytest
from websockets.exceptions import ConnectionClosed

from tests.channels import ChannelClient
from tests.people import Person
from tests.running import SECONDS, RunningGateway

UNKNOWN = "3fa85f64-5717-4562-b3fc-2c963f66afa6"

once = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


async def started(gateway: RunningGateway, person: Person) -> str:
    request_id = await gateway.submitted(person.id)
    await gateway.until(person.id, request_id, "processing")
    return request_id


async def progress(gateway: RunningGateway, request_id: str, percent: int) -> None:
    answer = await gateway.callback({"requestId": request_id, "status": "processing", "progress": percent})
    assert answer.status_code == 200


async def complete(gateway: RunningGateway, request_id: str) -> None:
    answer = await gateway.callback({"requestId": request_id, "status": "completed", "Key": "b/a b.png", "Id": "1"})
    assert answer.json() == {"success": True}


async def closed(client: ChannelClient) -> int | None:
    async with asyncio.timeout(SECONDS):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.websocket.recv()
    return client.websocket.close_code
