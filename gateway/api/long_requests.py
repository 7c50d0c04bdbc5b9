"""Requests that are held open until there is something to say: admitted within limits, let go when the client left."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from starlette.requests import Request

from gateway.api.errors import ApiError
from gateway.auth.verified_tokens import User
from gateway.realtime.connection_limits import TooManyConnections
from gateway.state import State
from gateway.tasks import stop_all

T = TypeVar("T")


def host_of(request: Request) -> str:
    """The address that the connection counts for."""
    return request.client.host if request.client else ""


@contextlib.contextmanager
def telling_when_full() -> Iterator[None]:
    """Answer a `TooManyConnections` of the block.

    Raises:
        ApiError: 429, or 503 when the whole process is full.
    """
    try:
        yield
    except TooManyConnections as error:
        if error.kind == "process":
            overloaded = "The service is overloaded. Try again later."
            raise ApiError(503, "overloaded", overloaded, {"Retry-After": "5"}) from error
        sentence = "Too many open connections. Close some, or try again later."
        raise ApiError(429, "too_many_connections", sentence, {"Retry-After": "5"}) from error


@contextlib.contextmanager
def admitted(request: Request, state: State, user: User) -> Iterator[None]:
    """Count the connection against the limits of its user and its address.

    Raises:
        ApiError: as `telling_when_full`.
    """
    with telling_when_full(), state.limits.holding(host_of(request), user.id):
        yield


class ClientLeft(Exception):
    """Nobody reads the answer any more."""


async def while_connected(request: Request, waiting: Coroutine[Any, Any, T]) -> T:
    """What `waiting` returns. A closed page must not hold its user's places to the end of the wait.

    Raises:
        ClientLeft: the client has gone, and `waiting` was cancelled.
    """
    answer = asyncio.ensure_future(waiting)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({answer, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientLeft
        return answer.result()
    finally:
        await stop_all(answer, leaving)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
