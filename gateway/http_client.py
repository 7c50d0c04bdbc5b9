"""How the gateway speaks to other services over HTTP: one kind of client, and answers read within bounds.

httpx limits each read, but neither the whole time nor the size; `ask` does.

`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` hold for n8n, Supabase and the alert webhook, never for this
machine, which no proxy elsewhere could reach.
"""

import os
import ssl
import time
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.request import getproxies

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


class UnusableEnvironment(Exception):
    """No client can be made: the environment names a proxy or certificates that cannot be used. The text names the
    variables, without what is in them."""


def new_client(**options: Any) -> httpx.AsyncClient:  # noqa: ANN401 - httpx's own
    """A client that believes `tls_context`, and follows the environment's proxies except to `_THIS_MACHINE`.

    Args:
        options: what `httpx.AsyncClient` takes besides.

    Raises:
        UnusableEnvironment: proxies or certificates cannot be used; `environment_problems` says so before.
    """
    try:
        return httpx.AsyncClient(verify=tls_context(), trust_env=True, mounts=dict.fromkeys(_THIS_MACHINE), **options)
    except _REFUSED as error:
        if problems := environment_problems():
            raise UnusableEnvironment(" ".join(problems)) from error
        raise


_THIS_MACHINE = ("all://localhost", "all://*.localhost", "all://127.0.0.1", "all://[::1]")

_REFUSED = (ImportError, ValueError, OSError, httpx.InvalidURL)
"""What httpx raises where it makes no client of the environment."""


def environment_problems() -> list[str]:
    """A sentence for each variable of proxies or certificates with which no client can be made, its name first."""
    try:
        context = tls_context()
    except _REFUSED:
        return ["SSL_CERT_FILE names no file with certificates that can be read."]
    if problems := list(_proxy_problems(context)):
        return problems
    try:
        httpx.AsyncClient(verify=context, trust_env=True)
    except _REFUSED:
        name = _written("NO_PROXY")
        return [f"{name} lists something that is no host: write names, addresses (IPv6 without brackets) and commas."]
    return []


def _proxy_problems(context: ssl.SSLContext) -> Iterator[str]:
    proxies = getproxies()
    for scheme in ("http", "https", "all"):
        if not (proxy := proxies.get(scheme)):
            continue
        name = _written(f"{scheme.upper()}_PROXY")
        try:
            url = httpx.URL(proxy if "://" in proxy else f"http://{proxy}")
            httpx.AsyncHTTPTransport(verify=context, trust_env=False, proxy=httpx.Proxy(url))
            usable = bool(url.host)
        except ImportError:
            yield f"{name} names a SOCKS proxy, and there is no SOCKS here: name an HTTP proxy (http://host:port)."
            continue
        except _REFUSED:
            usable = False
        if not usable:
            yield f"{name} is no URL of an HTTP proxy: write http://host:port."


def _written(name: str) -> str:
    """The variable as it is set here: in lower case it wins."""
    return name.lower() if name.lower() in os.environ else name


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
