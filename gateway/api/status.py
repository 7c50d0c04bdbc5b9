"""`GET /api/ai-status/{requestId}`: the Body, for clients that poll. With ``?wait=`` it answers when there is news."""

import asyncio
import contextlib
import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.parsing import user_of
from gateway.context import Gateway, gateway_of
from gateway.errors import ApiError
from gateway.ids import parse_id
from gateway.realtime.update import Update
from gateway.realtime.watcher import Watcher
from gateway.responses import json_response
from storage.requests import read_own

MAX_WAIT = 60
"""Longest wait in seconds."""


async def status(request: Request) -> Response:
    """The request as it is, or as soon as it is newer than the client has seen."""
    user = user_of(request)
    gateway = gateway_of(request)
    wait, seen = _number(request, "wait", MAX_WAIT), _number(request, "version", 2**31 - 1)
    request_id = parse_id(request.path_params["request_id"])
    update = None
    if request_id is not None:
        if wait and seen is not None:
            update = await _wait_for_news(gateway, request_id, user.id, seen, wait)
        else:
            update = await _read(gateway, request_id, user.id)
    if update is None:
        raise ApiError(404, "not_found", "Request not found")
    etag = f'"v{update.version}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}
    if _matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return json_response(bytes(update.body), headers=headers)


async def _read(gateway: Gateway, request_id: str, user_id: str) -> Update | None:
    found = await read_own(gateway.database, request_id, user_id)
    return None if found is None else Update.of(found, gateway.urls)


async def _wait_for_news(gateway: Gateway, request_id: str, user_id: str, seen: int, wait: int) -> Update | None:
    watcher = Watcher(user_id)
    watcher.ids.add(request_id)
    async with gateway.hub.registered(watcher):  # registered first, read next
        update = await _read(gateway, request_id, user_id)
        if update is None or update.status.is_final or update.version > seen:
            return update
        watcher.seen(request_id, max(seen, update.version))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while not gateway.draining:
                    await watcher.ready()
                    if (newer := watcher.take()) is not None:
                        return newer
    return update


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


routes = [Route("/api/ai-status/{request_id}", status, methods=["GET"])]
