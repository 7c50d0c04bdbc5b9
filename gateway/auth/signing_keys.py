"""The public keys with which Supabase signs its users' tokens (JSON Web Key Set, RFC 7517).

They are fetched when a token first needs them, off the event loop's critical path and once for everyone who waits, and
kept: an endpoint that is away later, or publishes no usable key any more, takes nothing from users whose key is known.
(So a key that was revoked without another in its place is good until the process ends.) A token that names an unknown
key may come from a new one, so the set is fetched again, but not more often than every `COOLDOWN_SECONDS`: forged
tokens must not become load on Supabase.
"""

import asyncio
import math
import time
from collections.abc import Mapping
from typing import Any

import jwt
import structlog

from gateway.http_client import UnusableAnswer, ask, decode, new_client
from gateway.tasks import stop_all

log = structlog.get_logger(__name__)

PATH = "/auth/v1/.well-known/jwks.json"
"""Where a Supabase project publishes its keys."""

FRESH_SECONDS = 600.0
"""How long a set is good without a new look (Supabase sends ``max-age=600``)."""

STALE_SECONDS = 1200.0
"""How old a set may be and still serve whoever asks while it is fetched anew. A key that was revoked lives so long, and
longer only while the endpoint is away."""

COOLDOWN_SECONDS = 30.0
"""Shortest time between two fetches, whoever asks."""

RETRY_SECONDS = 5.0
"""The same after a fetch that failed."""

FETCH_SECONDS = 5.0
"""Longest wait for the endpoint."""

MAX_BYTES = 64 * 1024
"""Largest set that is read."""

MAX_KEYS = 50
"""Most keys that are kept."""

_ALGORITHMS: dict[tuple[object, object], tuple[str, ...]] = {
    ("RSA", None): ("RS256", "RS384", "RS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""What a key may verify, by its type and curve (RFC 7518, section 3.1; RFC 8037)."""

ALGORITHMS = frozenset(name for names in _ALGORITHMS.values() for name in names)
"""The algorithms of tokens that are verified by a published key. Symmetric ones and ``none`` are not among them."""


class KeysUnavailable(Exception):
    """The published keys cannot be read now. A token may be good, but the key that it names is not known here."""


class SigningKeys:
    """A project's published keys.

    Args:
        url: the project (``https://project.supabase.co``).
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = -math.inf
        self._tried_at: float | None = None
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None

    async def key_of(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        """The key `kid`, if it is known and made for `algorithm`; None when there is none.

        Raises:
            KeysUnavailable: the key is unknown and the endpoint could not be asked: it is away, or was asked just now.
        """
        age = time.monotonic() - self._fetched_at
        looked = True
        if kid not in self._keys or (age > STALE_SECONDS and not self._failed):
            looked = await self._refresh()
        elif age > FRESH_SECONDS:
            self._start_fetching()  # whoever asks now is served from what is known
        key = self._keys.get(kid)
        if key is None:
            if self._failed or not looked:
                raise KeysUnavailable("the signing keys cannot be fetched now")
            return None
        return key if key.algorithm_name == algorithm else None

    def key_now(self, kid: str) -> jwt.PyJWK | None:
        """The key `kid`, if it is known and need not be looked for first. A set that grows old is fetched meanwhile."""
        age = time.monotonic() - self._fetched_at
        if age > STALE_SECONDS and not self._failed:
            return None
        if age > FRESH_SECONDS:
            self._start_fetching()
        return self._keys.get(kid)

    async def aclose(self) -> None:
        """Give up a fetch that is under way."""
        if self._fetching is not None:
            await stop_all(self._fetching)

    def knows(self, kid: object) -> bool:
        """Whether `kid` is one of the published keys, without a look at the endpoint."""
        return kid in self._keys

    async def _refresh(self) -> bool:
        """Fetch, or wait for a fetch that is under way; whether the pause between two fetches let us."""
        fetching = self._start_fetching()
        if fetching is not None:
            await asyncio.shield(fetching)  # a caller who leaves does not end it for the others
        return fetching is not None

    def _start_fetching(self) -> "asyncio.Task[None] | None":
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        cooldown = RETRY_SECONDS if self._failed else COOLDOWN_SECONDS
        if self._tried_at is not None and time.monotonic() - self._tried_at < cooldown:
            return None
        self._tried_at = time.monotonic()
        self._fetching = asyncio.create_task(self._fetch(), name="jwks-fetch")
        return self._fetching

    async def _fetch(self) -> None:
        try:
            found = await published_keys(self._url)
            if self._keys and not found:
                # An accident at the endpoint, or keys of a future kind: good tokens are not refused for either.
                raise KeysUnavailable("the endpoint publishes no key that can be used")
        except KeysUnavailable as error:
            self._failed = True
            log.warning("jwks_unavailable", reason=str(error), kept=len(self._keys))
            return
        self._failed = False
        # A key that is published unchanged stays the same object: what it has verified is remembered by it.
        self._keys = {
            kid: known if (known := self._keys.get(kid)) is not None and known.key == key.key else key
            for kid, key in found.items()
        }
        self._fetched_at = time.monotonic()
        log.info("jwks_fetched", keys=len(found))


async def published_keys(url: str) -> dict[str, jwt.PyJWK]:
    """The keys of the project at `url`, by their ids, as they are published now.

    Raises:
        KeysUnavailable: the endpoint does not answer, or not with a key set.
    """
    try:
        async with new_client(timeout=FETCH_SECONDS, follow_redirects=False) as http:
            headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
            until = time.monotonic() + FETCH_SECONDS
            address = url.rstrip("/") + PATH
            status, content = await ask(http, "GET", address, most=MAX_BYTES, until=until, headers=headers)
        if status != 200:
            raise KeysUnavailable(f"the endpoint answered {status}")
        return _usable(decode(content))
    except UnusableAnswer as error:
        raise KeysUnavailable(str(error)) from error


def _usable(content: object) -> dict[str, jwt.PyJWK]:
    """The keys in `content` that can verify a token, by their ids; others are left out."""
    published = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(published, list):
        raise KeysUnavailable("the endpoint answered no key set")
    keys = {}
    for data in published[:MAX_KEYS]:
        if isinstance(data, dict) and isinstance(kid := data.get("kid"), str) and (key := _key(data)) is not None:
            keys[kid] = key
    return keys


def _key(data: Mapping[str, Any]) -> jwt.PyJWK | None:
    kind = (data.get("kty"), data.get("crv") if data.get("kty") != "RSA" else None)
    algorithms = _ALGORITHMS.get(kind, ()) if all(isinstance(part, str | None) for part in kind) else ()
    algorithm = data.get("alg") or next(iter(algorithms), None)
    if algorithm not in algorithms or data.get("use", "sig") != "sig":
        return None
    try:
        return jwt.PyJWK(dict(data), algorithm)
    except (jwt.PyJWTError, ValueError, TypeError) as error:  # some of PyJWT's releases let them through
        log.warning("jwks_key_unusable", reason=type(error).__name__)
        return None
