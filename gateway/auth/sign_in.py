"""Sign-in links: a code that works once, for whoever runs a gateway without an app of their own in front of it.

The code is a signed statement (RFC 7519) of who may sign in, and for how long; it ends soon. Its number is spent in the
database, so it works once over all processes. It stands behind the ``#`` of the link, which no server and no log sees.
"""

import time
import uuid
from dataclasses import dataclass

import jwt

from gateway.auth.tokens import InvalidToken, issue_token

CODE_SECONDS = 600
"""How long a link works."""

SESSION_COOKIE = "sb-gateway-auth-token"
"""Where the session is kept, as Supabase's clients keep theirs."""

_AUDIENCE = "ai-image-gateway:sign-in"
"""Sets codes apart from access tokens: neither is taken for the other."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who may sign in by a code."""

    id: str
    """The code's number."""
    user_id: str
    is_admin: bool
    lifetime: int
    """Seconds for which the session is good."""


def issue_code(secret: str, user_id: str, *, admin: bool, lifetime: int) -> str:
    """A code for the user, good once and for `CODE_SECONDS`."""
    claims = {
        "aud": _AUDIENCE,
        "sub": user_id,
        "jti": str(uuid.uuid4()),
        "exp": int(time.time()) + CODE_SECONDS,
        "admin": admin,
        "lifetime": lifetime,
    }
    return jwt.encode(claims, secret, algorithm="HS256")


def read_code(secret: str, code: str) -> SignIn:
    """Who may sign in by `code`, which may have been spent.

    Raises:
        InvalidToken: nobody.
    """
    if not secret:
        raise InvalidToken("no shared secret, so nobody has signed a code")
    required = ["aud", "sub", "jti", "exp", "admin", "lifetime"]
    try:
        claims = jwt.decode(code, secret, algorithms=["HS256"], audience=_AUDIENCE, options={"require": required})
    except (jwt.PyJWTError, ValueError, RecursionError) as error:  # some of PyJWT's releases let them through
        raise InvalidToken(type(error).__name__) from error
    return SignIn(claims["jti"], claims["sub"], claims["admin"], claims["lifetime"])


def session_of(secret: str, sign_in: SignIn) -> dict[str, object]:
    """The session's content, as Supabase's clients write it into their cookie."""
    token = issue_token(secret, sign_in.user_id, admin=sign_in.is_admin, lifetime=sign_in.lifetime)
    expires_at = int(time.time()) + sign_in.lifetime
    return {"access_token": token, "expires_at": expires_at, "user": {"id": sign_in.user_id}}
