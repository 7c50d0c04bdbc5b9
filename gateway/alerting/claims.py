"""Claims between processes that work without the database: who is the first to notify its outage, and its end.

With Redis away too, every process takes itself for the first: notified twice is better than not at all.
"""

import asyncio
import contextlib
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.settings.redis_url import new_pool

TIMEOUT_SECONDS = 2.0
"""Longest wait for Redis."""

REMEMBERED_SECONDS = 24 * 3600
"""How long Redis remembers a claim, or that it was released."""


class Claims(Protocol):
    """Names, each claimed and released by the first process to do so."""

    async def claim(self, name: str) -> bool:
        """Whether this process is the first of all to claim `name`; every one is while they cannot ask each other."""

    async def release(self, name: str, *, certain: bool) -> bool:
        """Whether this process is the first of all to release `name`.

        Args:
            name: what may have been claimed.
            certain: whether it is known to have been claimed, even if Redis should have forgotten that; then every
                process is the first while they cannot ask each other, else none is.
        """

    async def aclose(self) -> None:
        """Close the connection, where there is one."""


class InProcessClaims:
    """The claims of a single process."""

    def __init__(self) -> None:
        self._claimed: set[str] = set()

    async def claim(self, name: str) -> bool:
        first = name not in self._claimed
        self._claimed.add(name)
        return first

    async def release(self, name: str, *, certain: bool) -> bool:
        first = name in self._claimed
        self._claimed.discard(name)
        return first

    async def aclose(self) -> None:
        pass


class RedisClaims:
    """Keys on the server at `url`: asked at a process's start and in an outage of the database.

    Args:
        url: the server.
        prefix: what the keys begin with.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._prefix = prefix
        self._redis: Redis = Redis.from_pool(new_pool(url, TIMEOUT_SECONDS))

    async def aclose(self) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self._redis.aclose()

    async def claim(self, name: str) -> bool:
        try:
            return await self._replace(name, b"claimed") != b"claimed"
        except (RedisError, OSError):
            return True

    async def release(self, name: str, *, certain: bool) -> bool:
        try:
            before = await self._replace(name, b"released")
        except (RedisError, OSError):
            return certain
        return before == b"claimed" or (before is None and certain)

    async def _replace(self, name: str, state: bytes) -> bytes | None:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            before = await self._redis.set(f"{self._prefix}claim:{name}", state, ex=REMEMBERED_SECONDS, get=True)
        return before if isinstance(before, bytes) else None
