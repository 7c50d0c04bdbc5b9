"""Errors as clients see them: ``{"error": "<sentence>", "code": "<snake_case>"}``, and never more than that."""

from collections.abc import Mapping

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

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


def not_found(what: str = "Request") -> ApiError:
    """There is none, or none that the user may see; which of the two is nobody's business."""
    return ApiError(404, "not_found", f"{what} not found")


def answer_to(request: Request, error: Exception) -> Response:
    """What a client is told of `error`. What was not foreseen is logged; the client learns nothing of the inside."""
    match error:
        case ApiError():
            return _answer(error)
        case DatabaseUnavailable():
            log.error("database_unavailable", path=_path_of(request), reason=type(error.__cause__ or error).__name__)
            return _answer(unavailable())
        case HTTPException():  # the router's
            code, sentence = _HTTP_CODES.get(error.status_code, ("http_error", error.detail))
            return _answer(ApiError(error.status_code, code, sentence, error.headers))
    log.error("unexpected_error", path=_path_of(request), exc_info=error)
    return _answer(ApiError(500, "internal_error", "Something went wrong on our side. Please try again."))


MAX_LOGGED = 200
"""Most characters of a path in a log line: a head may have 64 KiB."""

_HTTP_CODES = {404: ("not_found", "Not found"), 405: ("method_not_allowed", "Method not allowed")}


def _answer(error: ApiError) -> Response:
    return json_response({"error": error.error, "code": error.code}, error.status, error.headers)


def _path_of(request: Request) -> str:
    """The path, without what opens a picture."""
    token = request.path_params.get("token")
    path = request.url.path.replace(token, "…") if token else request.url.path
    return path[:MAX_LOGGED]
