"""Who is asking: a user, an administrator, or n8n."""

import base64
import binascii
import hashlib
import hmac
import re
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import jwt
import msgspec
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from gateway.settings import Settings

AUDIENCE = "authenticated"
"""The audience of Supabase's access tokens."""

LEEWAY_SECONDS = 5
"""Clock difference forgiven between Supabase and us."""

MAX_TOKEN_LENGTH = 16 * 1024
"""Longest token looked at; also the bound of a WebSocket frame."""


class InvalidToken(Exception):
    """The credential is no good; the text says why, for the log and not for the client."""


class ForeignOrigin(Exception):
    """A cookie came with a page that is not ours."""


@dataclass(frozen=True, slots=True)
class User:
    """Someone with a valid token."""

    id: str
    is_admin: bool
    expires_at: float
    """Unix time in seconds at which the token ends."""


class Authenticator:
    """Turns credentials into users, by the settings' secrets and origins."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.supabase_jwt_secret.get_secret_value()
        self._origins = settings.origins

    def user_of_token(self, token: str) -> User:
        """The user whom `token` names.

        Raises:
            InvalidToken: malformed, forged, expired, for another audience, or without a usable subject.
        """
        if len(token) > MAX_TOKEN_LENGTH:
            raise InvalidToken("too long")
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                audience=AUDIENCE,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "sub", "aud"]},
            )
            subject = str(uuid.UUID(claims["sub"]))
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
            raise InvalidToken(type(error).__name__) from error
        metadata = claims.get("app_metadata")
        is_admin = isinstance(metadata, dict) and metadata.get("role") == "admin"
        return User(subject, is_admin, float(claims["exp"]))

    def user_of_request(self, method: str, headers: Headers) -> User | None:
        """The user of an HTTP request; None when it carries no credential.

        A bad bearer never falls back to the cookie. A cookie counts only if the page it came from is ours.

        Raises:
            InvalidToken: the credential is no good.
            ForeignOrigin: a cookie, but from a foreign page.
        """
        if (token := bearer(headers)) is not None:
            return self.user_of_token(token)
        session = session_token(headers)
        if session is None:
            return None
        origin = headers.get("origin")
        if origin is None:
            safe = method in ("GET", "HEAD") and headers.get("sec-fetch-site") != "cross-site"
            if not safe:
                raise ForeignOrigin("a cookie without an Origin")
        elif origin not in self._origins:
            raise ForeignOrigin("a cookie from a foreign Origin")
        return self.user_of_token(session)

    def user_of_upgrade(self, headers: Headers) -> User | None:
        """The user of a WebSocket upgrade; None when a first frame must say who it is.

        Raises:
            InvalidToken: the credential is no good.
            ForeignOrigin: the page is not ours, whatever credential it brings.
        """
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins:
            raise ForeignOrigin("an upgrade from a foreign Origin")
        if (token := bearer(headers)) is not None:
            return self.user_of_token(token)
        session = session_token(headers) if origin is not None else None
        return None if session is None else self.user_of_token(session)


def bearer(headers: Headers) -> str | None:
    """The token of the Authorization header; None without the header.

    Raises:
        InvalidToken: a header of another scheme, or without a token (RFC 6750, section 2.1).
    """
    value = headers.get("authorization")
    if value is None:
        return None
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise InvalidToken("not a bearer token")
    return token.strip()


_SESSION = re.compile(r"sb-.+-auth-token(?:\.(\d{1,2}))?\Z")


def session_token(headers: Headers) -> str | None:
    """The access token in Supabase's session cookie (``sb-<ref>-auth-token``, or its parts ``.0``, ``.1``, …)."""
    values: dict[str, str] = {}
    for line in headers.getlist("cookie"):
        values.update(cookie_parser(line))
    whole = next((value for name, value in values.items() if (m := _SESSION.match(name)) and m[1] is None), None)
    if whole is None:
        parts = sorted((int(m[1]), value) for name, value in values.items() if (m := _SESSION.match(name)) and m[1])
        if not parts or [number for number, _ in parts] != list(range(len(parts))):
            return None
        whole = "".join(value for _, value in parts)
    return _access_token(whole)


def _access_token(session: str) -> str | None:
    if session.startswith("base64-"):
        encoded = session.removeprefix("base64-")
        try:
            session = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        except (binascii.Error, ValueError):
            return None
    else:
        session = unquote(session)
    try:
        decoded = msgspec.json.decode(session)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    token = decoded.get("access_token") if isinstance(decoded, dict) else None
    return token if isinstance(token, str) else None


class CallbackSecrets:
    """n8n's secrets: the global one, and one for each request that opens this request only.

    While a secret is being changed, the previous one is good too.
    """

    def __init__(self, settings: Settings) -> None:
        previous = settings.ai_callback_secret_previous
        self._secrets = [settings.ai_callback_secret.get_secret_value()]
        if previous is not None:
            self._secrets.append(previous.get_secret_value())

    def token_for(self, request_id: str) -> str:
        """The request's own secret: unpadded base64url(HMAC-SHA256(secret, lower-case id))."""
        return _request_token(self._secrets[0], request_id)

    def is_global(self, provided: str) -> bool:
        """Whether `provided` opens every request."""
        return _matches_any(provided, self._secrets)

    def opens(self, provided: str, request_id: str) -> bool:
        """Whether `provided` opens this request."""
        own = [_request_token(secret, request_id) for secret in self._secrets]
        return _matches_any(provided, [*self._secrets, *own])


def _request_token(secret: str, request_id: str) -> str:
    digest = hmac.digest(secret.encode(), request_id.lower().encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _matches_any(provided: str, secrets: Iterable[str]) -> bool:
    # Every comparison is made, so that the time says nothing about which one matched.
    given = provided.encode(errors="surrogateescape")
    matches = [hmac.compare_digest(given, secret.encode()) for secret in secrets]
    return any(matches)


def issue_token(secret: str, user_id: str, *, admin: bool, lifetime: int) -> str:
    """A token such as Supabase would issue, valid for `lifetime` seconds."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": "ai-image-gateway",
        "sub": user_id,
        "aud": AUDIENCE,
        "role": AUDIENCE,
        "iat": now,
        "exp": now + lifetime,
        "app_metadata": {"role": "admin"} if admin else {},
    }
    return jwt.encode(claims, secret, algorithm="HS256")
