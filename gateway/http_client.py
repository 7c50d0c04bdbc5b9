"""How the gateway speaks to other services over HTTP: one kind of client, and answers read within bounds.

httpx limits each read, but neither the whole time nor the size; `ask` does.

`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` hold for n8n, Supabase and the alert webhook, never for this
machine, which no proxy elsewhere could reach.
"""

import ssl
import time
from functools import cache
from typing import Any

import httpx
import msgspec


class UnusableAnswer(Exception):
    """No answer, too slow, too large, or not JSON; the text says which, without what was in it.

    Args:
        reason: the text.
        received: how many bytes came all the same.
    """

    def __init__(self, reason: str, received: int = 0) -> None:
        super().__init__(reason)
        self.received = received


@cache
def tls_context() -> ssl.SSLContext:
    """The roots that httpx brings, or those in `SSL_CERT_FILE` or `SSL_CERT_DIR`; shared by every client.

    Read once a process: that takes 40 ms of a processor.
    """
    return httpx.create_ssl_context()


def new_client(**options: Any) -> httpx.AsyncClient:  # noqa: ANN401 - httpx's own
    """A client that believes `tls_context`, and follows the environment's proxies except to `_THIS_MACHINE`.

    Args:
        options: what `httpx.AsyncClient` takes besides.
    """
    return httpx.AsyncClient(verify=tls_context(), trust_env=True, mounts=dict.fromkeys(_THIS_MACHINE), **options)


_THIS_MACHINE = ("all://localhost", "all://*.localhost", "all://127.0.0.1", "all://[::1]")


async def ask(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    most: int,
    until: float,
    **options: Any,  # noqa: ANN401
) -> tuple[int, bytes]:
    """The status and the body of an answer.

    Nothing is cancelled: an httpx request that is cancelled keeps its place in the pool for ever.

    Args:
        http: the client; its own timeout bounds each read.
        method: the HTTP method.
        url: where.
        most: most bytes that are read.
        until: the moment (`time.monotonic`) at which the answer has taken too long.
        options: what httpx takes besides.

    Raises:
        UnusableAnswer: there is none within these bounds.
    """
    if time.monotonic() > until:
        raise UnusableAnswer("no time is left to ask")
    try:
        async with http.stream(method, url, **options) as answer:
            content = bytearray()
            async for chunk in answer.aiter_raw():
                content += chunk
                if len(content) > most:
                    raise UnusableAnswer(f"more than {most} bytes", len(content))
                if time.monotonic() > until:
                    raise UnusableAnswer("the answer took too long", len(content))
            return answer.status_code, bytes(content)
    except httpx.HTTPError as error:
        raise UnusableAnswer(type(error).__name__) from error


def decode(content: bytes) -> Any:  # noqa: ANN401 - JSON
    """The JSON in `content`.

    Raises:
        UnusableAnswer: it is none, or nested too deeply.
    """
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnusableAnswer(f"no JSON ({type(error).__name__})") from error
