"""`/api/openapi.json` and `/api/asyncapi.json`: what there is, for machines."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.documents.asyncapi import asyncapi
from gateway.api.documents.openapi import openapi
from gateway.api.documents.operations import operation
from gateway.api.documents.schemas import Schema, content
from gateway.api.responses import json_response
from gateway.state import state_of

_ANSWERS: Schema = {"200": content({"type": "object"}, "The document.")}


class Documents:
    """The documents of one application, each made when it is first asked for: anyone may ask, as often as they like."""

    def __init__(self) -> None:
        self._made: dict[str, bytes] = {}

    @operation("This document", responses=_ANSWERS)
    async def openapi_json(self, request: Request) -> Response:
        """The HTTP document."""
        if "openapi" not in self._made:
            self._made["openapi"] = msgspec.json.encode(openapi(request.app.routes))
        return json_response(self._made["openapi"])

    @operation("The WebSocket's document", responses=_ANSWERS)
    async def asyncapi_json(self, request: Request) -> Response:
        """The WebSocket document."""
        if "asyncapi" not in self._made:
            self._made["asyncapi"] = msgspec.json.encode(asyncapi(state_of(request).settings.ws_frame_bytes))
        return json_response(self._made["asyncapi"])


def routes() -> list[Route]:
    """Routes of one application, with a memory of their own."""
    documents = Documents()
    return [
        Route("/api/openapi.json", documents.openapi_json, methods=["GET"]),
        Route("/api/asyncapi.json", documents.asyncapi_json, methods=["GET"]),
    ]
