"""Who is asking: a user or an administrator."""

import time
import uuid
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt
from jwt.utils import base64url_encode
from starlette.datastructures import Headers

from gateway.auth.claims import claims_of, decode_segment
from gateway.auth.session_cookie import SessionToken, cookie_of_project, session_tokens
from gateway.auth.signing_keys import ALGORITHMS, KeysUnavailable, SigningKeys
from gateway.auth.verified_tokens import User, VerifiedTokens
from gateway.ids import parse_id
from gateway.settings import Settings

AUDIENCE = "authenticated"
"""The audience of Supabase's access tokens."""

LEEWAY_SECONDS = 5
"""How long a token is good past its end. `CLOCK_SKEW_SECONDS` says how early one may come."""

MAX_TOKEN_LENGTH = 16 * 1024
"""Longest token looked at."""

MAX_HEADER_LENGTH = 1024
"""Longest first part of a token: an algorithm and the id of a key."""


_API_KEYS = ("sb_publishable_", "sb_secret_")
"""How Supabase's API keys begin. They are no tokens: they name an application, not a user."""


LATEST = 253_402_300_800.0
"""The first second after the year 9999: past it, an `exp` is no date. One in milliseconds is past it."""


class InvalidToken(Exception):
    """The credential is no good; the text says why, for the log and not for the client."""


class ForeignOrigin(Exception):
    """A cookie came with a page that is not ours."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request brings: a bearer token, or the tokens of its cookies, of which one that is good is enough."""

    tokens: tuple[SessionToken, ...]

    @classmethod
    def bearer(cls, token: str) -> "Credential":
        """One token, beside which nothing counts."""
        return cls((SessionToken(token, own=True),))

    def without(self, text: str | None) -> "Credential | None":
        """The same without the token `text`; None if nothing is left."""
        left = tuple(token for token in self.tokens if token.token != text)
        return Credential(left) if left else None


class Authenticator:
    """Turns credentials into users, by the settings' secrets, the project's published keys, and the origins.

    A token is verified once and remembered until it ends: whoever polls or comes back costs a look into a dictionary.
    """

    def __init__(self, settings: Settings) -> None:
        self._secret = _shared_key(settings.supabase_jwt_secret.get_secret_value())
        self._keys = SigningKeys(settings.supabase_url) if settings.supabase_url else None
        self._api_key = settings.supabase_anon_key.get_secret_value() if settings.supabase_anon_key else None
        self._origins = settings.origins
        self._cookie = cookie_of_project(settings.supabase_url)
        self._clock_skew = settings.clock_skew_seconds
        self._verified = VerifiedTokens()
        self._header = lru_cache(maxsize=64)(_header_of)  # the same for all tokens of a project

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
        user = self.user_of_token_now(token)
        if user is not None:
            return user
        algorithm, kid = self._header(token.partition(".")[0])
        if self._keys is None or kid is None or algorithm is None:
            raise InvalidToken("no published key")
        key = await self._keys.key_of(kid, algorithm)
        if key is None:
            raise InvalidToken("signed with an unknown key, or with another algorithm than the key's")
        return self._verify(token, key, algorithm)

    def user_of_token_now(self, token: str) -> User | None:
        """The same without waiting; None where a key must be fetched first.

        Raises:
            InvalidToken: as above.
        """
        if len(token) > MAX_TOKEN_LENGTH:
            raise InvalidToken("too long")
        remembered = self._verified.get(token)
        if remembered is not None and (remembered.key is None or self._is_current(remembered.key)):
            if remembered.user.expires_at + LEEWAY_SECONDS <= time.time():
                raise InvalidToken("ExpiredSignatureError")
            return remembered.user
        if self.is_api_key(token):
            raise InvalidToken("an API key, which names no user: sign in, and send the session's access token")
        algorithm, kid = self._header(token.partition(".")[0])
        if algorithm == "HS256":
            # Supabase gives tokens that the shared secret signs a `kid` too, which is in no key set.
            if self._secret is None:
                raise InvalidToken("signed with a shared secret, and SUPABASE_JWT_SECRET is empty")
            if self._keys is not None and self._keys.knows(kid):
                raise InvalidToken("signed with a shared secret in the name of a published key")
            return self._verify(token, self._secret, algorithm)
        if algorithm not in ALGORITHMS or kid is None:
            raise InvalidToken("an algorithm that is not accepted, or no key id")
        if self._keys is None:
            raise InvalidToken("signed with a key of the project, and SUPABASE_URL is not set")
        key = self._keys.key_now(kid)
        if key is None:
            return None
        if key.algorithm_name != algorithm:
            raise InvalidToken("signed with another algorithm than the key's")
        return self._verify(token, key, algorithm)

    def is_api_key(self, token: str) -> bool:
        """Whether `token` is no token, but a key that names an application and no user."""
        return token.startswith(_API_KEYS) or token == self._api_key

    def _is_current(self, key: jwt.PyJWK) -> bool:
        """Whether the key is still published, as far as is known."""
        return self._keys is not None and self._keys.key_now(str(key.key_id)) is key

    def _verify(self, token: str, key: jwt.PyJWK, algorithm: str) -> User:
        """The user whom `token` names if `key` has signed it. The header chooses among known keys, and says nothing of
        what a key is."""
        if key.algorithm_name != algorithm or not _is_signed(token, key):
            raise InvalidToken("InvalidSignatureError")
        try:
            claims = claims_of(token)
            subject = parse_id(claims.sub) or str(uuid.UUID(claims.sub))
        except ValueError as error:
            raise InvalidToken(type(error).__name__) from error
        now = time.time()
        if AUDIENCE not in ([claims.aud] if isinstance(claims.aud, str) else claims.aud):
            raise InvalidToken("InvalidAudienceError")
        if not 0 < claims.exp < LATEST:
            raise InvalidToken("an end that is no date in seconds")
        if claims.exp + LEEWAY_SECONDS <= now:
            raise InvalidToken("ExpiredSignatureError")
        if max(claims.iat or 0, claims.nbf or 0) > now + self._clock_skew:
            raise InvalidToken("ImmatureSignatureError")
        metadata = claims.app_metadata
        is_admin = isinstance(metadata, dict) and metadata.get("role") == "admin"
        user = User(subject, is_admin, float(claims.exp))
        self._verified.add(token, user, None if key is self._secret else key)
        return user

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
        sessions = tuple(session_tokens(headers, self._cookie))
        if not sessions:
            return None
        origin = headers.get("origin")
        if origin is None:
            safe = method in ("GET", "HEAD") and headers.get("sec-fetch-site") != "cross-site"
            if not safe:
                raise ForeignOrigin("a cookie without an Origin")
        elif origin not in self._origins:
            raise ForeignOrigin("a cookie from a foreign Origin")
        return await self.user_of_credential(Credential(sessions))

    async def user_of_credential(self, credential: Credential) -> User:
        """The user of the first token that is good.

        Raises:
            InvalidToken: none is, as far as the project's own session says.
            KeysUnavailable: none is, and one cannot be verified at the moment.
        """
        user = self.user_of_credential_now(credential)
        if user is not None:
            return user
        errors: list[tuple[bool, bool, InvalidToken | KeysUnavailable]] = []
        for token, own in credential.tokens:
            try:
                return await self.user_of_token(token)
            except (InvalidToken, KeysUnavailable) as error:
                errors.append((own, isinstance(error, KeysUnavailable), error))
        # Another project's session, whose key is never found here, must not keep one that has ended from being told so.
        raise max(errors, key=lambda found: found[:2])[2]

    def user_of_credential_now(self, credential: Credential) -> User | None:
        """The same without waiting; None where a key must be fetched first.

        Raises:
            InvalidToken: as above.
        """
        errors: list[tuple[bool, InvalidToken]] = []
        for token, own in credential.tokens:
            try:
                if (user := self.user_of_token_now(token)) is not None:
                    return user
            except InvalidToken as error:
                errors.append((own, error))
        if len(errors) < len(credential.tokens):
            return None
        raise max(errors, key=lambda found: found[0])[1]

    def credential_of_upgrade(self, headers: Headers) -> Credential | None:
        """The credential that a WebSocket upgrade brings; None when a first frame must say who it is.

        Raises:
            InvalidToken: an Authorization header without a bearer token.
            ForeignOrigin: the page is not ours, whatever credential it brings.
        """
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins:
            raise ForeignOrigin("an upgrade from a foreign Origin")
        if (token := bearer(headers)) is not None:
            return Credential.bearer(token)
        sessions = session_tokens(headers, self._cookie) if origin is not None else []
        return Credential(tuple(sessions)) if sessions else None


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


def _shared_key(secret: str) -> jwt.PyJWK | None:
    """The shared secret as a key that is made ready once; None when there is none."""
    if not secret:
        return None
    encoded = base64url_encode(secret.encode()).decode()
    return jwt.PyJWK({"kty": "oct", "k": encoded}, "HS256")


def _is_signed(token: str, key: jwt.PyJWK) -> bool:
    """Whether `key` has signed `token`. Asked first: who forges a token chooses what else is in it."""
    signed, _, signature = token.rpartition(".")
    try:
        return bool(key.Algorithm.verify(signed.encode(), key.key, decode_segment(signature)))
    except (jwt.PyJWTError, ValueError, TypeError):
        return False


def _header_of(segment: str) -> tuple[str | None, str | None]:
    """The algorithm and the key id in a token's first part.

    Raises:
        InvalidToken: there is no header, or not these two as text.
    """
    if len(segment) > MAX_HEADER_LENGTH:
        raise InvalidToken("a header that is too long")
    try:
        header = jwt.get_unverified_header(f"{segment}..")
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise InvalidToken(type(error).__name__) from error
    if "crit" in header or "b64" in header:
        raise InvalidToken("an extension that is not understood")  # RFC 7515, section 4.1.11
    algorithm, kid = header.get("alg"), header.get("kid")
    return (algorithm if isinstance(algorithm, str) else None, kid if isinstance(kid, str) else None)
