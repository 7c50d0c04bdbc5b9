"""Who is asking: a user, an administrator, or n8n."""

import time
import uuid
from dataclasses import dataclass
from typing import Any

import jwt
from starlette.datastructures import Headers

from gateway.auth.session_cookie import session_token
from gateway.auth.signing_keys import ALGORITHMS, SigningKeys
from gateway.settings import Settings

AUDIENCE = "authenticated"
"""The audience of Supabase's access tokens."""

LEEWAY_SECONDS = 5
"""Clock difference forgiven between Supabase and us."""

MAX_TOKEN_LENGTH = 16 * 1024
"""Longest token looked at; also the bound of a WebSocket frame."""


_API_KEYS = ("sb_publishable_", "sb_secret_")
"""How Supabase's API keys begin. They are no tokens: they name an application, not a user."""


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
    """Turns credentials into users, by the settings' secrets, the project's published keys, and the origins."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.supabase_jwt_secret.get_secret_value()
        self._keys = SigningKeys(settings.supabase_url) if settings.supabase_url else None
        self._api_key = settings.supabase_anon_key.get_secret_value() if settings.supabase_anon_key else None
        self._origins = settings.origins

    async def aclose(self) -> None:
        """Give up what is being fetched."""
        if self._keys is not None:
            await self._keys.aclose()

    async def user_of_token(self, token: str) -> User:
        """The user whom `token` names.

        Raises:
            InvalidToken: malformed, forged, expired, for another audience, or without a usable subject.
            KeysUnavailable: it names a key that is not known yet and cannot be fetched now.
        """
        if len(token) > MAX_TOKEN_LENGTH:
            raise InvalidToken("too long")
        if token.startswith(_API_KEYS) or token == self._api_key:
            raise InvalidToken("an API key, which names no user: sign in, and send the session's access token")
        try:
            header = jwt.get_unverified_header(token)
            key, algorithm = await self._key(header.get("alg"), header.get("kid"))
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=AUDIENCE,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "sub", "aud"]},
            )
            subject = str(uuid.UUID(claims["sub"]))
            expires_at = float(claims["exp"])
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise InvalidToken(type(error).__name__) from error
        metadata = claims.get("app_metadata")
        is_admin = isinstance(metadata, dict) and metadata.get("role") == "admin"
        return User(subject, is_admin, expires_at)

    async def _key(self, algorithm: object, kid: object) -> tuple[str | jwt.PyJWK, str]:
        """What verifies a token with this header. The header chooses among what is known; it never says what a key is.

        Supabase gives tokens that the shared secret signs a `kid` too, which is in no key set.
        """
        if algorithm == "HS256":
            if not self._secret:
                raise InvalidToken("signed with a shared secret, and SUPABASE_JWT_SECRET is empty")
            if self._keys is not None and self._keys.knows(kid):
                raise InvalidToken("signed with a shared secret in the name of a published key")
            return self._secret, "HS256"
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS or not isinstance(kid, str):
            raise InvalidToken("an algorithm that is not accepted, or no key id")
        if self._keys is None:
            raise InvalidToken("signed with a key of the project, and SUPABASE_URL is not set")
        key = await self._keys.key_of(kid, algorithm)
        if key is None:
            raise InvalidToken("signed with an unknown key, or with another algorithm than the key's")
        return key, algorithm

    async def user_of_request(self, method: str, headers: Headers) -> User | None:
        """The user of an HTTP request; None when it carries no credential.

        A bad bearer never falls back to the cookie. A cookie counts only if the page it came from is ours.

        Raises:
            InvalidToken: the credential is no good.
            KeysUnavailable: it cannot be verified at the moment.
            ForeignOrigin: a cookie, but from a foreign page.
        """
        if (token := bearer(headers)) is not None:
            return await self.user_of_token(token)
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
        return await self.user_of_token(session)

    async def user_of_upgrade(self, headers: Headers) -> User | None:
        """The user of a WebSocket upgrade; None when a first frame must say who it is.

        Raises:
            InvalidToken: the credential is no good.
            KeysUnavailable: it cannot be verified at the moment.
            ForeignOrigin: the page is not ours, whatever credential it brings.
        """
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins:
            raise ForeignOrigin("an upgrade from a foreign Origin")
        if (token := bearer(headers)) is not None:
            return await self.user_of_token(token)
        session = session_token(headers) if origin is not None else None
        return None if session is None else await self.user_of_token(session)


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
