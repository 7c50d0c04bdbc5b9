"""`GET /api/ai-status/{requestId}`: the Body, for clients that poll; with ``?wait=`` it answers when there is news;
with ``/events`` it is a stream of Server-Sent Events."""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api.parsing import user_of
from gateway.auth import User
from gateway.background import stop_all
from gateway.context import Gateway, gateway_of
from gateway.errors import ApiError
from gateway.ids import parse_id
from gateway.realtime.admission import TooManyConnections
from gateway.realtime.event_stream import EventStream
from gateway.realtime.long_poll import wait_for_newer
from gateway.realtime.update import Update
from gateway.realtime.watcher import Watcher
from gateway.responses import json_response
from storage.requests import read_own

MAX_WAIT = 60
"""Longest wait in seconds."""

MAX_VERSION = 2**31 - 1


async def status(request: Request) -> Response:
    """The request as it is, or as soon as it is newer than the client has seen."""
    user = user_of(request)
    gateway = gateway_of(request)
    wait, seen = _number(request, "wait", MAX_WAIT), _number(request, "version", MAX_VERSION)
    if seen is None and (known := re.fullmatch(r'(?:W/)?"v([0-9]{1,9})"', request.headers.get("if-none-match", ""))):
        seen = int(known[1])  # a client that says what it has in the header waits just as well
    watcher, read = _watching(request, gateway, user)
    if wait and seen is not None:
        with _admitted(request, gateway, user):
            waiting = asyncio.ensure_future(wait_for_newer(gateway.hub, watcher, read, seen=seen, wait=wait))
            leaving = asyncio.ensure_future(_gone(request))
            await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            if not waiting.done():
                await stop_all(waiting)
                return Response(status_code=204)  # nobody reads it
            update = waiting.result()
    else:
        update = await read()
    if update is None:
        raise _not_found()
    etag = f'"v{update.version}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if _matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return json_response(bytes(update.body), headers=headers)


async def _gone(request: Request) -> None:
    """Return when the client has left: a closed page must not hold its user's places to the end of the wait."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def events(request: Request) -> ASGIApp:
    """The request's updates as Server-Sent Events; 204 when there is nothing more to come."""
    user = user_of(request)
    gateway = gateway_of(request)
    if request.method == "HEAD":
        return Response(media_type="text/event-stream")  # nothing to stream, so nothing to register
    last_id = request.headers.get("last-event-id", "")
    seen = int(last_id) if re.fullmatch(r"[0-9]{1,10}", last_id) else 0
    watcher, read = _watching(request, gateway, user)
    async with contextlib.AsyncExitStack() as registration:
        registration.enter_context(_admitted(request, gateway, user))
        await registration.enter_async_context(gateway.hub.registered(watcher))  # registered first, read next
        update = await read()
        if update is None:
            raise _not_found()
        if update.status.is_final and update.version <= seen:
            return Response(status_code=204)
        watcher.seen(update.request_id, max(seen, update.version))
        return EventStream(
            watcher,
            registration.pop_all(),
            first=update if update.version > seen else None,
            expires_at=user.expires_at,
            stall_seconds=gateway.settings.ws_stall_seconds,
        )


class EventsEndpoint:
    """`events` as an ASGI application: Starlette's function endpoints answer with a `Response` only."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await events(Request(scope, receive, send))
        await response(scope, receive, send)


def _watching(request: Request, gateway: Gateway, user: User) -> tuple[Watcher, Callable[[], Awaitable[Update | None]]]:
    """A watcher of the request in the path, and a way to read it."""
    request_id = parse_id(request.path_params["request_id"])
    watcher = Watcher(user.id)
    if request_id is not None:
        watcher.ids.add(request_id)

    async def read() -> Update | None:
        found = None if request_id is None else await read_own(gateway.database, request_id, user.id)
        return None if found is None else Update.of(found, gateway.urls)

    return watcher, read


@contextlib.contextmanager
def _admitted(request: Request, gateway: Gateway, user: User) -> Iterator[None]:
    """Count the connection against the limits of its user and its address.

    Raises:
        ApiError: 429, or 503 when the whole process is full.
    """
    host = request.client.host if request.client else ""
    try:
        with gateway.admission.address(host), gateway.admission.user(user.id):
            yield
    except TooManyConnections as error:
        if error.kind == "process":
            overloaded = "The service is overloaded. Try again later."
            raise ApiError(503, "overloaded", overloaded, {"Retry-After": "5"}) from error
        sentence = "Too many open connections. Close some, or try again later."
        raise ApiError(429, "too_many_connections", sentence, {"Retry-After": "5"}) from error


def _not_found() -> ApiError:
    return ApiError(404, "not_found", "Request not found")


def _number(request: Request, name: str, most: int) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > most:
        raise ApiError(400, "invalid_parameter", f"{name} must be a whole number from 0 to {most}.")
    return int(text)


def _matches(header: str | None, etag: str) -> bool:
    """Whether If-None-Match names `etag` (weak comparison, RFC 9110, section 13.1.2)."""
    if header is None:
        return False
    return header.strip() == "*" or etag in (part.strip().removeprefix("W/") for part in header.split(","))


routes = [
    Route("/api/ai-status/{request_id}", status, methods=["GET"]),
    Route("/api/ai-status/{request_id}/events", EventsEndpoint(), methods=["GET"]),
]
