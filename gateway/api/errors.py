"""Errors as clients see them: ``{"error": "<sentence>", "code": "<snake_case>"}``, and never more than that."""

from collections.abc import Mapping
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from gateway.api.responses import json_response
from storage.errors import DatabaseUnavailable

log = structlog.get_logger(__name__)


class ApiError(Exception):
    """A request that is refused.

    Args:
        status: the HTTP status.
        code: the machine's word for it, in snake_case.
        error: the sentence for people: what happened and what to do.
        headers: more response headers.
    """

    def __init__(self, status: int, code: str, error: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.code = code
        self.error = error
        self.headers = dict(headers or {})


def unavailable() -> ApiError:
    """The database is away: worth another try in a moment."""
    return ApiError(503, "unavailable", "The service is briefly unavailable. Please try again.", {"Retry-After": "2"})


def unauthorized() -> ApiError:
    """No credential, or one that is no good; which of the two is nobody's business."""
    return ApiError(401, "unauthorized", "Unauthorized", {"WWW-Authenticate": "Bearer"})


def _answer(error: ApiError) -> Response:
    return json_response({"error": error.error, "code": error.code}, error.status, error.headers)


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - Starlette calls this handler for that class alone
    return _answer(error)


async def _database_unavailable(request: Request, error: Exception) -> Response:
    log.error("database_unavailable", path=_path_of(request), reason=type(error.__cause__ or error).__name__)
    return _answer(unavailable())


def _path_of(request: Request) -> str:
    """The path, without what opens a picture."""
    token = request.path_params.get("token")
    return request.url.path.replace(token, "…") if token else request.url.path


_HTTP_CODES = {404: ("not_found", "Not found"), 405: ("method_not_allowed", "Method not allowed")}


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    code, sentence = _HTTP_CODES.get(error.status_code, ("http_error", error.detail))
    return _answer(ApiError(error.status_code, code, sentence, error.headers))


async def _unexpected(connection: Request | WebSocket, error: Exception) -> Response:
    """The traceback is logged; the client learns nothing of the inside."""
    if isinstance(connection, WebSocket):
        raise error  # the server logs it and closes with 1011
    log.error("unexpected_error", path=_path_of(connection), exc_info=error)
    return _answer(ApiError(500, "internal_error", "Something went wrong on our side. Please try again."))


HANDLERS: dict[Any, Any] = {
    ApiError: _api_error,
    DatabaseUnavailable: _database_unavailable,
    HTTPException: _http_exception,
}

# Starlette answers unforeseen errors outside of all middleware, where a page of another origin could not read it.
UNEXPECTED = Middleware(ExceptionMiddleware, handlers={Exception: _unexpected})
"""Comes last, so that its answer passes the others."""
