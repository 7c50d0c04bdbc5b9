"""The long poll transport: one request that is answered when there is something newer than the client has seen.

The synchronous endpoint is the same with other patience: it waits for the end.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from gateway.realtime.hub import Hub
from gateway.realtime.subscriber import Subscriber
from gateway.realtime.update import Update

Read = Callable[[], Awaitable[Update | None]]
"""Reads the watched request from the database; None if it is not the user's."""


async def wait_for_newer(hub: Hub, subscriber: Subscriber, read: Read, *, seen: int, wait: float) -> Update | None:
    """The watched request once it is final or newer than version `seen`, else as it is after `wait` seconds.

    When the process stops it answers early, at the subscriber's own moment, so that the polls move on one by one.
    """
    async with hub.registered(subscriber):  # registered first, read next
        update = await read()
        if update is None or update.status.is_final or update.version > seen:
            return update
        subscriber.seen(update.request_id, max(seen, update.version))
        return await _newer(subscriber, asyncio.get_running_loop().time() + wait) or update


async def wait_until_final(hub: Hub, subscriber: Subscriber, read: Read, *, wait: float) -> Update | None:
    """The watched request once it is final, else as it is after `wait` seconds, or when the process stops."""
    deadline = asyncio.get_running_loop().time() + wait
    async with hub.registered(subscriber):
        update = await read()
        if update is None:
            return None
        subscriber.seen(update.request_id, update.version)
        while not update.status.is_final and (newer := await _newer(subscriber, deadline)) is not None:
            update = newer
            if subscriber.drain_in is not None:
                break  # its moment has come once; every progress report would give it another one
        return update


async def _newer(subscriber: Subscriber, deadline: float) -> Update | None:
    """What the subscriber is offered next; None at the deadline (in the loop's time), or when it is asked to leave."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(deadline):
            while subscriber.drain_in is None:
                await subscriber.ready()
                if (newer := subscriber.take()) is not None:
                    return newer
            await asyncio.sleep(subscriber.drain_in)
    return subscriber.take()
