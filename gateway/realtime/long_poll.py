"""The long poll transport: one request that is answered when there is something newer than the client has seen.

The synchronous endpoint is the same with other patience: it waits for the end.
"""

import asyncio
import contextlib

from gateway.realtime.hub import Hub
from gateway.realtime.subscriber import Inbox
from gateway.realtime.subscriptions import Subscriptions
from gateway.realtime.update import Update

TRANSPORT = "poll"


async def wait_for_newer(
    hub: Hub, subscriptions: Subscriptions, user_id: str, request_id: str, *, seen: int, wait: float
) -> Update | None:
    """The user's request once it is final or another version than `seen`, else as it is after `wait` seconds; None if
    there is no such request of the user's.

    When the process stops it answers early, at the inbox's own moment, so that the polls move on one by one.

    Raises:
        DatabaseUnavailable: the request cannot be read now.
    """
    inbox = Inbox(user_id, TRANSPORT)
    with hub.joined(inbox):
        found = await subscriptions.add_ids(inbox, [request_id])
        if not found or found[0].is_final or found[0].version != seen:
            return found[0] if found else None
        return await _next(inbox, asyncio.get_running_loop().time() + wait) or found[0]


async def wait_until_final(
    hub: Hub, subscriptions: Subscriptions, user_id: str, request_id: str, *, wait: float
) -> Update | None:
    """The user's request once it is final, else as it is after `wait` seconds, or when the process stops.

    Raises:
        DatabaseUnavailable: the request cannot be read now.
    """
    deadline = asyncio.get_running_loop().time() + wait
    inbox = Inbox(user_id, TRANSPORT)
    with hub.joined(inbox):
        found = await subscriptions.add_ids(inbox, [request_id])
        if not found:
            return None
        update = found[0]
        while not update.is_final and (newer := await _next(inbox, deadline)) is not None:
            update = newer
            if inbox.leave_in is not None:
                break  # its moment has come once; every progress report would give it another one
        return update


async def _next(inbox: Inbox, deadline: float) -> Update | None:
    """What comes next; None at the deadline (in the loop's time), or when the client is asked to leave."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(deadline):
            while inbox.leave_in is None:
                await inbox.ready()
                if (newer := inbox.take()) is not None:
                    return newer
            async with asyncio.timeout(inbox.leave_in):
                await inbox.ready()
    return inbox.take()
