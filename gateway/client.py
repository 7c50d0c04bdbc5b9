"""A client for Python programs.

    async with GatewayClient("https://gateway.example.com", token) as client:
        body = await client.generate("Running Shoes", "Nike")
        print(body["publicUrl"])

Or step by step:

        request_id = await client.submit("Running Shoes", "Nike")
        async for body in client.watch(request_id):
            print(body["status"], body["progress"])

`watch` yields Bodies whose versions only rise and ends after a final one. It uses the WebSocket; while that cannot be
had, it polls, and keeps trying. Only where the gateway's database was set back, as by a restore, does it follow to a
lower version.
"""

import asyncio
import contextlib
import random
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, cast
from urllib.parse import quote

import httpx
import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from gateway.http_client import new_client
from gateway.realtime.close_codes import CloseCode

Status = Literal["pending", "processing", "completed", "failed"]


class Body(TypedDict):
    """What the gateway says of a request. Times are RFC 3339 in UTC, `progress` is 0 to 100, `cost` a decimal."""

    requestId: str
    status: Status
    product: str
    brand: str
    storageKey: str | None
    storageId: str | None
    publicUrl: str | None
    errorMessage: str | None
    createdAt: str
    completedAt: str | None
    version: int
    progress: int | None
    errorCode: str | None
    updatedAt: str
    cost: str | None


class Page(TypedDict):
    """Some of the user's requests, newest first; `nextCursor` asks for those after them, and is None at the end."""

    requests: list[Body]
    nextCursor: str | None


FINAL = ("completed", "failed")

TRIES = 3
"""How often a call is made whose answer is lost; each may be repeated without harm."""

LONGEST_PAUSE = 10.0
"""Longest pause between two attempts to connect, in seconds."""

SUBMIT_SECONDS = 120.0
"""Longest wait for a submission's answer: with `AI_GENERATION_MODE=sync` it comes with the picture."""

DOWNLOAD_SECONDS = 30.0
"""How long a picture is asked for whose server is away: the gateway's restart may be the object store's."""

POLL_WAIT = 20
"""Seconds for which one long poll may be held."""


class GatewayError(Exception):
    """The gateway refused. `code` is its word for why, `status` the HTTP status (0 over WebSocket)."""

    def __init__(self, status: int, code: str, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.code = code

    @property
    def transient(self) -> bool:
        """Whether trying again may help: a proxy or the gateway is briefly away."""
        return self.status >= 500 or self.code in ("unavailable", "too_many_connections")


class GenerationFailed(GatewayError):
    """The request ended without a picture; `body` is its last Body."""

    def __init__(self, body: Body) -> None:
        super().__init__(0, body["errorCode"] or "failed", body["errorMessage"] or "The generation failed.")
        self.body = body


class _MovedOn(Exception):
    """The gateway asked this client to connect elsewhere, and its moment has come."""


@contextlib.contextmanager
def _ignoring_transient_errors() -> Iterator[None]:
    try:
        yield
    except httpx.TransportError:
        pass
    except GatewayError as error:
        if not error.transient:
            raise


class GatewayClient:
    """A connection to one gateway as one user.

    Args:
        url: the gateway's address.
        token: a Supabase access token, or an async function that fetches a fresh one.
    """

    def __init__(self, url: str, token: str | Callable[[], Awaitable[str]]) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._http = new_client(base_url=self._url, timeout=httpx.Timeout(10, read=POLL_WAIT + 10))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def _headers(self) -> dict[str, str]:
        token = self._token if isinstance(self._token, str) else await self._token()
        return {"Authorization": f"Bearer {token}"}

    async def generate(self, product: str, brand: str, *, organization_id: str | None = None) -> Body:
        """Submit a request and wait for its picture: the completed Body.

        Cancelling the call ends the waiting, not the request.

        Raises:
            GenerationFailed: it ended without a picture.
            GatewayError: refused.
            httpx.HTTPError: not reachable at the submission.
        """
        request_id = await self.submit(product, brand, organization_id=organization_id)
        async with contextlib.aclosing(self.watch(request_id)) as bodies:
            async for body in bodies:
                if body["status"] == "failed":
                    raise GenerationFailed(body)
                if body["status"] == "completed":
                    return body
        raise AssertionError("unreachable")

    async def submit(self, product: str, brand: str, *, organization_id: str | None = None) -> str:
        """Submit a request and return its id. A lost answer is repeated safely.

        Raises:
            GatewayError: refused.
            httpx.HTTPError: not reachable after three tries.
        """
        content = {"Product": product, "Your Brand": brand}
        if organization_id is not None:
            content["organizationId"] = organization_id
        key = {"Idempotency-Key": str(uuid.uuid4())}
        answer = await self._tried(
            "POST", "/api/ai-generate", _submitted, json=content, headers=key, timeout=SUBMIT_SECONDS
        )
        return str(answer["requestId"])

    async def status(self, request_id: str) -> Body:
        """The request as it is now.

        Raises:
            GatewayError: unknown request, or a token that is no good.
            httpx.HTTPError: not reachable after three tries.
        """
        return cast("Body", await self._tried("GET", f"/api/ai-status/{_in_path(request_id)}", _checked))

    async def list(self, *, status: Status | None = None, limit: int = 20, cursor: str | None = None) -> Page:
        """A page of the user's requests, newest first.

        Args:
            status: only requests in this state.
            limit: most requests on the page, 1 to 100.
            cursor: the `nextCursor` of the page before.

        Raises:
            GatewayError: a parameter or a token that is no good.
            httpx.HTTPError: not reachable after three tries.
        """
        asked = {"status": status, "limit": limit, "cursor": cursor}
        parameters = {name: value for name, value in asked.items() if value is not None}
        return cast("Page", await self._tried("GET", "/api/ai-requests", _checked, params=parameters))

    async def cancel(self, request_id: str) -> Body:
        """Cancel a request: its Body, failed with the `errorCode` ``canceled``. Doing so again answers the same.

        Raises:
            GatewayError: unknown request, or one that ended otherwise (status 409).
            httpx.HTTPError: not reachable after three tries.
        """
        path = f"/api/ai-requests/{_in_path(request_id)}/cancel"
        return cast("Body", await self._tried("POST", path, _checked))

    async def _tried(
        self,
        method: str,
        path: str,
        read: Callable[[httpx.Response], dict[str, Any]],
        headers: dict[str, str] | None = None,
        **options: Any,  # noqa: ANN401 - httpx's own
    ) -> dict[str, Any]:
        """The content of an answer to a call that may be repeated."""
        for attempt in range(1, TRIES + 1):
            try:
                sent = {**await self._headers(), **(headers or {})}
                return read(await self._http.request(method, path, headers=sent, **options))
            except (httpx.TransportError, GatewayError) as error:
                if attempt == TRIES or (isinstance(error, GatewayError) and not error.transient):
                    raise
            await asyncio.sleep(random.uniform(0, attempt))  # noqa: S311 - spreads load, hides nothing
        raise AssertionError("unreachable")

    async def watch(self, request_id: str) -> AsyncGenerator[Body, None]:
        """Every Body of the request that is news, until a final one.

        Raises:
            GatewayError: unknown request, or a token that is no good.
        """
        seen = 0
        failures = 0
        while True:
            try:
                async with contextlib.aclosing(self._bodies(request_id)) as bodies:
                    async for body in bodies:
                        failures = 0
                        if body["version"] != seen:
                            seen = body["version"]
                            yield body
                        if body["status"] in FINAL:
                            return
            except _MovedOn:
                continue
            except (ConnectionClosed, InvalidHandshake, OSError, httpx.TransportError) as error:
                _raise_if_permanent(error, fresh_tokens=callable(self._token))
            except GatewayError as error:
                if not error.transient:
                    raise
            failures += 1
            with _ignoring_transient_errors():
                body = await self._poll(request_id, seen)
                if body["version"] != seen:
                    seen = body["version"]
                    yield body
                if body["status"] in FINAL:
                    return
            pause = min(LONGEST_PAUSE, 0.5 * 2 ** min(failures, 10))
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - full jitter

    async def _bodies(self, request_id: str) -> AsyncGenerator[Body, None]:
        """What one WebSocket connection brings."""
        url = "ws" + self._url.removeprefix("http") + "/ws"
        async with connect(
            url, additional_headers=await self._headers(), open_timeout=10, close_timeout=2, proxy=None
        ) as websocket:
            moved_at: float | None = None
            while True:
                try:
                    async with asyncio.timeout_at(moved_at):
                        message = msgspec.json.decode(await websocket.recv())
                except TimeoutError as error:
                    raise _MovedOn from error
                match message["type"]:
                    case "welcome":
                        subscribe = {"type": "subscribe", "requestIds": [request_id]}
                        await websocket.send(msgspec.json.encode(subscribe).decode())
                    case "subscribed":
                        if message["missing"]:
                            raise GatewayError(404, "not_found", "Request not found")
                        for body in message["requests"]:
                            yield body
                    case "update":
                        yield message["request"]
                    case "expiring" if not isinstance(self._token, str):
                        auth = {"type": "auth", "token": await self._token()}
                        await websocket.send(msgspec.json.encode(auth).decode())
                    case "drain":  # until its moment this connection still brings updates
                        moved_at = asyncio.get_running_loop().time() + message["reconnectInMs"] / 1000
                    case "error":
                        raise GatewayError(0, message["code"], message["error"])

    async def _poll(self, request_id: str, seen: int) -> Body:
        query = {"wait": POLL_WAIT, "version": seen} if seen else {}
        path = f"/api/ai-status/{_in_path(request_id)}"
        return cast("Body", _checked(await self._http.get(path, params=query, headers=await self._headers())))

    async def download(self, url: str) -> bytes:
        """The picture at a Body's `publicUrl`.

        Raises:
            httpx.HTTPError: not to be had within `DOWNLOAD_SECONDS`: no server, or an error that stays.
        """
        loop = asyncio.get_running_loop()
        last_try_at = loop.time() + DOWNLOAD_SECONDS
        while True:
            try:
                answer = await self._http.get(url, follow_redirects=True)
                return answer.raise_for_status().content
            except (httpx.TransportError, httpx.HTTPStatusError) as error:
                permanent = isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500
                if permanent or loop.time() > last_try_at:
                    raise
            await asyncio.sleep(random.uniform(0, 2))  # noqa: S311 - spreads load, hides nothing


def _in_path(request_id: str) -> str:
    """An id as one part of a path, whatever somebody typed for it."""
    return quote(request_id, safe="")


def _submitted(answer: httpx.Response) -> dict[str, Any]:
    """What was submitted. In the synchronous mode a failed generation is an error, but the request exists."""
    content = _content(answer)
    request = content.get("request") if content is not None else None
    return request if isinstance(request, dict) else _checked(answer)


def _checked(answer: httpx.Response) -> dict[str, Any]:
    content = _content(answer)
    if content is None:  # a proxy's page, whatever its status
        raise GatewayError(answer.status_code, "unavailable", f"The gateway answered {answer.status_code}.")
    if answer.is_success:
        return content
    error = content.get("error") or f"The gateway answered {answer.status_code}."
    raise GatewayError(answer.status_code, str(content.get("code", "http_error")), str(error))


def _content(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        content = answer.json()
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _raise_if_permanent(error: Exception, *, fresh_tokens: bool) -> None:
    """Raise if connecting again cannot help."""
    if isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.code in set(CloseCode):
        code = CloseCode(error.rcvd.code)
        if not code.reconnect or (code is CloseCode.UNAUTHORIZED and not fresh_tokens):
            raise GatewayError(0, code.name.lower(), code.reason) from error
