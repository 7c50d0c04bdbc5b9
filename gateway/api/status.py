"""`GET /api/ai-status/{requestId}`: the Body, for clients that poll; with ``?wait=`` it waits for a newer one; with
``/events`` it is a stream of Server-Sent Events."""

import contextlib
import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api.documents.operations import operation
from gateway.api.documents.schemas import REQUEST_ID, TEXT, USER, Schema, content, errors, parameter, ref
from gateway.api.errors import not_found
from gateway.api.long_requests import ClientLeft, admitted, host_of, telling_when_full, while_connected
from gateway.api.parsing import number_parameter, request_id_of, user_of
from gateway.api.preconditions import matches
from gateway.api.responses import json_response
from gateway.realtime.event_stream import EventStream, EventStreamResponse
from gateway.realtime.long_poll import TRANSPORT, wait_for_newer
from gateway.realtime.update import MAX_VERSION
from gateway.state import state_of

MAX_WAIT = 60
"""Longest wait in seconds."""

_WAITING_REFUSALS = errors(
    (401, "No good credential."),
    (403, "A cookie from a foreign page."),
    (404, "Unknown, another user's, or no id at all."),
    (429, "Too many open connections."),
    (503, "Briefly unavailable, or overloaded."),
)


@operation(
    "Read a request",
    security=USER,
    parameters=[
        REQUEST_ID,
        parameter(
            "wait",
            "query",
            "Seconds to wait for something newer than `version` (or than If-None-Match names).",
            {"type": "integer", "minimum": 0, "maximum": MAX_WAIT},
        ),
        parameter(
            "version",
            "query",
            "The version already seen.",
            {"type": "integer", "minimum": 0, "maximum": MAX_VERSION},
        ),
        parameter("If-None-Match", "header", 'The ETag already seen, `"v<version>"`.', TEXT),
    ],
    responses={
        "200": content(ref("Body"), "The request; its `ETag` is its version."),
        "304": {"description": "Nothing newer than If-None-Match names."},
        **errors((400, "An unusable parameter.")),
        **_WAITING_REFUSALS,
    },
)
async def status(request: Request) -> Response:
    """The request as it is, or as soon as it is newer than the client has seen."""
    user = await user_of(request)
    state = state_of(request)
    request_id = request_id_of(request)
    wait, seen = number_parameter(request, "wait", MAX_WAIT), number_parameter(request, "version", MAX_VERSION)
    known = request.headers.get("if-none-match")
    if seen is None and known is not None and (match := re.fullmatch(r'(?:W/)?"v([0-9]{1,9})"', known)):
        seen = int(match[1])  # a client that says what it has in the header waits just as well
    if wait and seen is not None:
        with admitted(request, state, user):
            waiting = wait_for_newer(state.hub, state.subscriptions, user.id, request_id, seen=seen, wait=wait)
            try:
                update = await while_connected(request, waiting)
            except ClientLeft:
                return Response(status_code=204)  # nobody reads it
    else:
        update = await state.reader.own(request_id, user.id)
    if update is None:
        raise not_found()
    etag = f'"v{update.version}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if known is not None and matches(known, etag):
        return Response(status_code=304, headers=headers)
    state.hub.record_answer(update, TRANSPORT)
    return json_response(bytes(update.body), headers=headers)


async def events(request: Request) -> ASGIApp:
    """The request's updates as Server-Sent Events; 204 when there is nothing more to come."""
    user = await user_of(request)
    state = state_of(request)
    if request.method == "HEAD":
        return Response(media_type="text/event-stream")  # nothing to stream, so nothing to join
    request_id = request_id_of(request)
    last_id = request.headers.get("last-event-id", "")
    seen = int(last_id) if re.fullmatch(r"[0-9]{1,10}", last_id) else 0
    stream = EventStream(user.id, host_of(request), state.hub, state.limits)
    with contextlib.ExitStack() as leaving:
        with telling_when_full():
            stream.join()
        leaving.callback(stream.leave)
        found = await state.subscriptions.add_ids(stream, [request_id])
        if not found:
            raise not_found()
        update = found[0]
        if update.is_final and update.version == seen:
            return Response(status_code=204)
        leaving.pop_all()
    return EventStreamResponse(stream, update if update.version != seen else None, user.expires_at)


_EVENT: Schema = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "event": {"const": "update"},
        "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": ref("Body")},
    },
    "required": ["id", "event", "data"],
}


@operation(
    "Watch a request by Server-Sent Events",
    description="`id` is the version, `event` is `update`, `data` is the Body. Ends after a final status.",
    security=USER,
    parameters=[REQUEST_ID, parameter("Last-Event-ID", "header", "The version already seen.", TEXT)],
    responses={
        "200": {"description": "The stream.", "content": {"text/event-stream": {"schema": _EVENT}}},
        "204": {"description": "Final, and already seen: do not come back."},
        **_WAITING_REFUSALS,
    },
)
class EventsEndpoint:
    """`events` as an ASGI application: Starlette's function endpoints answer with a `Response` only."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await events(Request(scope, receive, send))
        await response(scope, receive, send)


routes = [
    Route("/api/ai-status/{request_id}", status, methods=["GET"]),
    Route("/api/ai-status/{request_id}/events", EventsEndpoint(), methods=["GET"]),
]
