"""`/api/openapi.json` and `/api/asyncapi.json`: what there is, for machines."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import __version__
from gateway.api.documents.openapi import openapi
from gateway.api.documents.schemas import COMMANDS, MESSAGES, Schema, ref, schemas
from gateway.api.responses import json_response
from gateway.realtime.close_codes import CloseCode


def asyncapi() -> Schema:
    """The WebSocket and its messages (AsyncAPI 3.0)."""
    names = [kind.__name__ for kind in (*COMMANDS, *MESSAGES)]
    codes = "\n".join(
        f"- {code.value} {code.reason}{'' if code.reconnect else ' (do not connect again)'}" for code in CloseCode
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "AI Image Gateway",
            "version": __version__,
            "description": (
                "JSON text frames, at most 16 KiB from the client. Who you are: an Authorization header, the session "
                f"cookie, or a first `auth` frame.\n\nClose codes:\n{codes}"
            ),
        },
        "channels": {
            "realtime": {
                "address": "/ws",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            }
        },
        "operations": {
            "command": {
                "action": "receive",
                "channel": {"$ref": "#/channels/realtime"},
                "messages": [{"$ref": f"#/channels/realtime/messages/{kind.__name__}"} for kind in COMMANDS],
            },
            "inform": {
                "action": "send",
                "channel": {"$ref": "#/channels/realtime"},
                "messages": [{"$ref": f"#/channels/realtime/messages/{kind.__name__}"} for kind in MESSAGES],
            },
        },
        "components": {
            "messages": {name: {"name": name, "payload": ref(name)} for name in names},
            "schemas": schemas(),
        },
    }


async def openapi_json(request: Request) -> Response:
    """The HTTP document."""
    return json_response(openapi())


async def asyncapi_json(request: Request) -> Response:
    """The WebSocket document."""
    return json_response(asyncapi())


routes = [
    Route("/api/openapi.json", openapi_json, methods=["GET"]),
    Route("/api/asyncapi.json", asyncapi_json, methods=["GET"]),
]
