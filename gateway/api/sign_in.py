"""`/sign-in` and `POST /api/sign-in`: a link that works once becomes a session, for `/` and `/admin`."""

import msgspec
import structlog
from jwt.utils import base64url_encode
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.documents.operations import operation
from gateway.api.documents.schemas import FLAG, TEXT, content, errors, json_body, object_of
from gateway.api.errors import ApiError
from gateway.api.parsing import read_json_object
from gateway.api.responses import json_response
from gateway.api.static_files import static_files
from gateway.auth.sign_in import CODE_SECONDS, SESSION_COOKIE, read_code, session_of
from gateway.auth.tokens import InvalidToken
from gateway.state import state_of
from storage import sign_ins

log = structlog.get_logger(__name__)


async def page(request: Request) -> Response:
    """The page that a link leads to. Its script sends the code, which stands behind the ``#``, on a click's way."""
    return static_files(request).answer(request, "sign-in.html")


@operation(
    "Sign in by a link's code",
    description="The session is set as a cookie. A code works once.",
    requestBody=json_body(object_of(code=TEXT)),
    responses={
        "200": content(object_of(isAdmin=FLAG), "Signed in."),
        **errors(
            (400, "No code."),
            (401, "The code is no good, has ended, or has been used."),
            (408, "The body did not arrive in time."),
            (413, "The body is too large."),
            (415, "Not application/json."),
            (503, "Briefly unavailable."),
        ),
    },
)
async def sign_in(request: Request) -> Response:
    """Turn a code into a session."""
    state = state_of(request)
    body = await read_json_object(request)
    code, secret = body.get("code"), state.settings.supabase_jwt_secret.get_secret_value()
    if not isinstance(code, str) or not code:
        raise ApiError(400, "invalid_field", "code must be text.")
    used = ApiError(401, "invalid_code", "This link does not work any more. Each works once, and for ten minutes.")
    try:
        who = read_code(secret, code)
    except InvalidToken as error:
        log.warning("sign_in_refused", reason=str(error))
        raise used from error
    if not await sign_ins.spend(state.database, who.id, CODE_SECONDS):
        log.warning("sign_in_refused", reason="used before", user_id=who.user_id)
        raise used
    log.info("signed_in", user_id=who.user_id, is_admin=who.is_admin)
    response = json_response({"isAdmin": who.is_admin})
    value = base64url_encode(msgspec.json.encode(session_of(secret, who))).decode()
    is_secure = state.settings.app_url.startswith("https:")
    response.set_cookie(
        SESSION_COOKIE,
        f"base64-{value}",
        max_age=who.lifetime,
        samesite="lax",
        httponly=True,
        secure=is_secure,
    )
    return response


routes = [
    Route("/sign-in", page, methods=["GET"]),
    Route("/api/sign-in", sign_in, methods=["POST"]),
]
