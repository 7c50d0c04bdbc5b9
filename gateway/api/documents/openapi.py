"""The OpenAPI document: what the endpoints say of themselves, and what they refer to."""

from collections.abc import Iterable

from starlette.routing import BaseRoute

from gateway import __version__
from gateway.api.documents.operations import paths
from gateway.api.documents.schemas import Schema, schemas


def openapi(routes: Iterable[BaseRoute]) -> Schema:
    """The HTTP endpoints among `routes` (OpenAPI 3.1)."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "AI Image Gateway", "version": __version__, "license": {"name": "MIT", "identifier": "MIT"}},
        "paths": paths(routes),
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A Supabase access token."},
                "session": {"type": "apiKey", "in": "cookie", "name": "sb-<ref>-auth-token"},
                "callbackSecret": {"type": "apiKey", "in": "header", "name": "X-Callback-Secret"},
            },
        },
    }
