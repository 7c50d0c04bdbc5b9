"""What comes in over HTTP: the user, the body, the fields. Everything is hostile until it has passed here."""

import asyncio
import re
import unicodedata
from typing import Any

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request

from gateway.api.body_budget import BodyBudget
from gateway.api.errors import MAX_LOGGED, ApiError, not_found, unauthorized, unavailable
from gateway.auth.signing_keys import KeysUnavailable
from gateway.auth.tokens import ForeignOrigin, InvalidToken
from gateway.auth.verified_tokens import User
from gateway.ids import parse_id
from gateway.scope_extensions import received_body
from gateway.state import state_of

log = structlog.get_logger(__name__)

MAX_BODY = 64 * 1024
"""Longest body in bytes."""

BODY_SECONDS = 10.0
"""Longest wait for a whole body."""

MAX_TEXT = 200
"""Longest product or brand in characters, after trimming."""

_decoder = msgspec.json.Decoder()


async def user_of(request: Request) -> User:
    """The user who is asking.

    Raises:
        ApiError: 401 without a good credential, 403 for a cookie that comes from a foreign page, 503 for a token whose
            signature cannot be verified at the moment.
    """
    try:
        user = await state_of(request).authenticator.user_of_request(request.method, request.headers)
    except InvalidToken as error:
        log.info("unauthorized", path=request.url.path[:MAX_LOGGED], reason=str(error))
        raise unauthorized() from error
    except KeysUnavailable as error:
        raise unavailable() from error
    except ForeignOrigin as error:
        raise ApiError(403, "foreign_origin", "This origin may not use the session cookie.") from error
    if user is None:
        raise unauthorized()
    return user


async def admin_of(request: Request) -> User:
    """The administrator who is asking.

    Raises:
        ApiError: 401, 403.
    """
    user = await user_of(request)
    if not user.is_admin:
        raise ApiError(403, "forbidden", "Only administrators may do that.")
    return user


async def read_json_object(request: Request) -> dict[str, Any]:
    """The JSON object in the body.

    Raises:
        ApiError: 415 for another content type, 413 over `MAX_BODY`, 408 when it does not arrive in time, 400 for
            anything that is not a JSON object.
    """
    require_json(request)
    body = await read_body(request)
    try:
        content = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, "invalid_json", "The body is not valid JSON.") from error
    if not isinstance(content, dict):
        raise ApiError(400, "invalid_json", "The body must be a JSON object.")
    return content


def require_json(request: Request) -> None:
    """Refuse a body that does not say it is JSON.

    Raises:
        ApiError: 415.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise ApiError(415, "unsupported_media_type", "The Content-Type must be application/json.")


async def read_body(
    request: Request, most: int = MAX_BODY, into: bytearray | None = None, budget: BodyBudget | None = None
) -> bytes:
    """The body, of at most `most` bytes.

    Args:
        request: whose.
        most: the bound in bytes.
        into: filled as the body arrives, for who wants to see what came before a refusal; then a length that is
            declared too large is no reason not to read.
        budget: counts the body while it arrives.

    Raises:
        ApiError: 413 over `most`, 408 when it does not arrive in time, 400 when it ends early, 503 without room in the
            budget.
    """
    length = request.headers.get("content-length", "0")
    if into is None and length.isdecimal() and int(length) > most:
        raise _too_large(most)
    body = bytearray() if into is None else into
    received = received_body(request.scope)
    if received is not None:
        body += received[: most + 1]
        if len(received) > most:
            raise _too_large(most)
        return received
    counted = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise _too_large(most)
                if budget is not None:
                    held = budget.hold(len(body), counted)
                    if held is None:
                        raise unavailable()
                    counted = held
    except TimeoutError as error:
        raise ApiError(408, "request_timeout", "The body did not arrive in time.") from error
    except ClientDisconnect as error:
        raise ApiError(400, "invalid_json", "The body ended early.") from error
    finally:
        if budget is not None:
            budget.release(counted)
    return bytes(body)


def _too_large(most: int) -> ApiError:
    return ApiError(413, "body_too_large", f"The body is larger than {most // 1024} KiB.")


def request_id_of(request: Request) -> str:
    """The id in the path.

    Raises:
        ApiError: 404; whoever asks for what cannot exist learns no more than for what is another user's.
    """
    parsed = parse_id(request.path_params["request_id"])
    if parsed is None:
        raise not_found()
    return parsed


def text_field(value: object, name: str) -> str:
    """`value` trimmed, if it is text of 1..`MAX_TEXT` characters without control characters.

    Raises:
        ApiError: 400.
    """
    if not isinstance(value, str):
        raise ApiError(400, "invalid_field", f"{name} must be text.")
    text = value.strip()
    # Cc: control characters; Cs: half a surrogate pair, which no UTF-8 can carry.
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ApiError(400, "invalid_field", f"{name} must not contain control characters.")
    if len(text) > MAX_TEXT:
        raise ApiError(400, "invalid_field", f"{name} must have at most {MAX_TEXT} characters.")
    return text


def number_parameter(request: Request, name: str, most: int) -> int | None:
    """The whole number 0..`most` in the query; None when it is not there.

    Raises:
        ApiError: 400.
    """
    # Most polls have no query, and making a dictionary of none costs two microseconds.
    text = request.query_params.get(name) if request.scope["query_string"] else None
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > most:
        raise ApiError(400, "invalid_parameter", f"{name} must be a whole number from 0 to {most}.")
    return int(text)
