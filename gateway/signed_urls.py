"""Fresh signed URLs for pictures in Supabase Storage's private buckets."""

import asyncio
import time
from collections import OrderedDict

import httpx
import msgspec

from gateway.settings import Settings
from storage.public_urls import encode_key

LIFETIME_SECONDS = 3600
"""How long a signed URL is asked to be good."""

REUSE_SECONDS = 1800.0
"""How long one is handed out again: whoever gets it last still has half an hour to load the picture."""

MAX_REMEMBERED = 10_000
"""Most signed URLs that are remembered; past it the one used longest ago is forgotten."""

CONCURRENCY = 20
"""Most questions to Storage at once."""

SIGN_SECONDS = 5.0
"""Longest wait for a turn, and for Storage's answer."""


class NoSuchObject(Exception):
    """Storage does not have the object."""


class StorageUnavailable(Exception):
    """Storage does not answer, or not as it should."""


class SignedUrls:
    """Asks Storage to sign, and remembers what it said."""

    def __init__(self, settings: Settings) -> None:
        key = settings.supabase_service_role_key
        self._base = f"{settings.supabase_url}/storage/v1"
        # Legacy keys are JWTs, which Storage reads from Authorization; newer ones are known by `apikey` alone.
        self._headers = (
            {}
            if key is None
            else {"apikey": key.get_secret_value(), "Authorization": f"Bearer {key.get_secret_value()}"}
        )
        self._http: httpx.AsyncClient | None = None  # made when first needed: most gateways have no private bucket
        self._turns = asyncio.Semaphore(CONCURRENCY)
        self._remembered: OrderedDict[str, tuple[float, str]] = OrderedDict()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()

    async def of(self, storage_key: str) -> str:
        """A URL that shows ``bucket/path`` for the next half hour at least.

        Raises:
            NoSuchObject, StorageUnavailable: there is none.
        """
        now = time.monotonic()
        signed_at, url = self._remembered.get(storage_key, (-REUSE_SECONDS, ""))
        if now - signed_at < REUSE_SECONDS:
            self._remembered.move_to_end(storage_key)
            return url
        url = await self._sign(storage_key)
        self._remembered[storage_key] = (now, url)
        self._remembered.move_to_end(storage_key)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return url

    async def _sign(self, storage_key: str) -> str:
        try:
            answer = await self._ask(storage_key)
            content = msgspec.json.decode(answer.content)
        except (httpx.HTTPError, msgspec.DecodeError, UnicodeDecodeError, TimeoutError) as error:
            raise StorageUnavailable(type(error).__name__) from error
        if not isinstance(content, dict):
            raise StorageUnavailable("an answer that is no object")
        if answer.status_code == 404 or (answer.status_code == 400 and str(content.get("statusCode")) == "404"):
            raise NoSuchObject(storage_key)
        signed = content.get("signedURL")
        # Anything else would make of this an open redirect, for whoever answers in Storage's place.
        if not answer.is_success or not isinstance(signed, str) or not signed.startswith("/object/sign/"):
            raise StorageUnavailable(f"Storage answered {answer.status_code}")
        return self._base + signed

    async def _ask(self, storage_key: str) -> httpx.Response:
        if self._http is None:
            self._http = httpx.AsyncClient(timeout=SIGN_SECONDS, trust_env=False)
        async with asyncio.timeout(SIGN_SECONDS):
            await self._turns.acquire()
        try:
            # Its own timeouts end it: an httpx request that is cancelled keeps its place in the pool for ever.
            return await self._http.post(
                f"{self._base}/object/sign/{encode_key(storage_key)}",
                json={"expiresIn": LIFETIME_SECONDS},
                headers=self._headers,
            )
        finally:
            self._turns.release()
