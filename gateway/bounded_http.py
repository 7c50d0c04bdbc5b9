"""Answers of other services, read within bounds: httpx limits each read, neither the whole time nor the size."""

import time
from typing import Any

import httpx
import msgspec


class UnusableAnswer(Exception):
    """No answer, too slow, too large, or not JSON; the text says which, without what was in it."""


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
                    raise UnusableAnswer(f"more than {most} bytes")
                if time.monotonic() > until:
                    raise UnusableAnswer("the answer took too long")
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
