"""Fresh signed URLs for pictures in Supabase Storage's private buckets."""

import asyncio
import time
from collections import OrderedDict

import httpx

from gateway.http_client import UnusableAnswer, ask, decode, new_client
from gateway.settings import Settings
from gateway.tasks import stop_all
from storage.public_urls import encode_key

LIFETIME_SECONDS = 3600
"""How long a signed URL is asked to be good."""

REUSE_SECONDS = 1800.0
"""How long one is handed out again: whoever gets it last still has half an hour to load the picture."""

MAX_REMEMBERED = 10_000
"""Most signed URLs that are remembered; past it the one used longest ago is forgotten."""

MAX_SIGNING = 500
"""Most pictures that are signed, or wait for a turn, at once."""

MAX_ANSWER = 16 * 1024
"""Largest answer of Storage's that is read, in bytes."""

CONCURRENCY = 20
"""Most questions to Storage at once."""

SIGN_SECONDS = 5.0
"""Longest wait for a turn, and for Storage's answer."""


SMALL = {"width": 320, "height": 400, "resize": "cover"}
"""A thumbnail, in pixels: what static/ai-image-form/thumbnail.js asks for where pictures are public."""


class NoSuchObject(Exception):
    """Storage does not have the object."""


class StorageUnavailable(Exception):
    """Storage does not answer, or not as it should."""


_Picture = tuple[str, bool]
"""A storage key, and whether its thumbnail is meant."""


class SignedUrls:
    """Asks Storage to sign, and remembers what it said."""

    def __init__(self, settings: Settings) -> None:
        key = settings.supabase_service_role_key
        self._base = f"{settings.supabase_url}/storage/v1"
        # Legacy keys are JWTs, which Storage reads from Authorization; newer ones are known by `apikey` alone.
        self._headers = (
            {}
            if key is None
            else {
                "apikey": key.get_secret_value(),
                "Accept-Encoding": "identity",
                "Authorization": f"Bearer {key.get_secret_value()}",
            }
        )
        self._http: httpx.AsyncClient | None = None  # made when first needed: most gateways have no private bucket
        self._turns = asyncio.Semaphore(CONCURRENCY)
        self._signing: dict[_Picture, asyncio.Task[str]] = {}
        self._remembered: OrderedDict[_Picture, tuple[float, str]] = OrderedDict()

    async def aclose(self) -> None:
        """Give up what is being signed, and close the connections."""
        await stop_all(*self._signing.values())
        if self._http is not None:
            await self._http.aclose()

    async def of(self, storage_key: str, *, small: bool = False) -> str:
        """A URL that shows ``bucket/path`` for the next half hour at least.

        Args:
            storage_key: ``bucket/path``.
            small: a thumbnail, if Storage makes any.

        Raises:
            NoSuchObject, StorageUnavailable: there is none.
        """
        now = time.monotonic()
        picture = storage_key, small
        signed_at, url = self._remembered.get(picture, (-REUSE_SECONDS, ""))
        if now - signed_at < REUSE_SECONDS:
            self._remembered.move_to_end(picture)
            return url
        # Everyone who asks for the same picture meanwhile waits for the same answer.
        signing = self._signing.get(picture)
        if signing is None:
            if len(self._signing) >= MAX_SIGNING:
                raise StorageUnavailable("too many pictures are being signed")
            signing = self._signing[picture] = asyncio.create_task(self._sign(*picture), name="sign-url")
            signing.add_done_callback(lambda task: self._signed(picture, task))
        return await asyncio.shield(signing)

    def _signed(self, picture: _Picture, task: "asyncio.Task[str]") -> None:
        del self._signing[picture]
        if task.cancelled() or task.exception() is not None:
            return
        self._remembered[picture] = (time.monotonic(), task.result())
        self._remembered.move_to_end(picture)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)

    async def _sign(self, storage_key: str, small: bool) -> str:
        if self._http is None:
            self._http = new_client(timeout=SIGN_SECONDS)
        until = time.monotonic() + SIGN_SECONDS
        try:
            async with asyncio.timeout(SIGN_SECONDS):
                await self._turns.acquire()
        except TimeoutError as error:
            raise StorageUnavailable("no turn came in time") from error
        try:
            status, body = await ask(
                self._http,
                "POST",
                f"{self._base}/object/sign/{encode_key(storage_key)}",
                most=MAX_ANSWER,
                until=until,
                json={"expiresIn": LIFETIME_SECONDS, **({"transform": SMALL} if small else {})},
                headers=self._headers,
            )
            content = decode(body)
        except UnusableAnswer as error:
            raise StorageUnavailable(str(error)) from error
        finally:
            self._turns.release()
        if not isinstance(content, dict):
            raise StorageUnavailable("an answer that is no object")
        if status == 404 or (status == 400 and str(content.get("statusCode")) == "404"):
            raise NoSuchObject(storage_key)
        signed = content.get("signedURL")
        # A project without image transformations signs the picture itself. Anything else would make of this an open
        # redirect, for whoever answers in Storage's place.
        places = ("/object/sign/", "/render/image/sign/") if small else ("/object/sign/",)
        if status != 200 or not isinstance(signed, str) or not signed.startswith(places):
            raise StorageUnavailable(f"Storage answered {status}")
        return self._base + signed
