"""A client of Server-Sent Events, as far as tests need one."""

import asyncio
import json
from collections.abc import AsyncIterator

from tests.running import SECONDS


async def next_status(lines: AsyncIterator[str]) -> str:
    """The status in the next event of a stream's lines."""
    async with asyncio.timeout(SECONDS):
        async for line in lines:
            if line.startswith("data: "):
                return str(json.loads(line.removeprefix("data: "))["status"])
    raise AssertionError("the stream ended")
