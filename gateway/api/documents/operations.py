"""What an endpoint says of itself in the OpenAPI document, written above it and collected from the routes.

@operation("Read a request", security=USER, parameters=[REQUEST_ID], responses={…})
async def status(request: Request) -> Response: ...
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from starlette.routing import BaseRoute, Route

from gateway.api.documents.schemas import Schema

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_OPERATION = "__openapi_operation__"


def operation(summary: str, **fields: object) -> Callable[[Endpoint], Endpoint]:
    """Describe an endpoint, a function or a class of them.

    Args:
        summary: what it does, in a few words.
        fields: the other fields of an operation object (OpenAPI 3.1, section 4.8.10).
    """

    def describe(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _OPERATION, {"summary": summary, **fields})
        return endpoint

    return describe


def paths(routes: Iterable[BaseRoute]) -> Schema:
    """The path items of all described routes, by path; pages, files and stand-ins are not described."""
    found: Schema = {}
    for route in routes:
        described = getattr(route.endpoint, _OPERATION, None) if isinstance(route, Route) else None
        if isinstance(route, Route) and described is not None:
            for method in (route.methods or set()) - {"HEAD"}:
                found.setdefault(route.path, {})[method.lower()] = described
    return found
