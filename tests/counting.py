"""What a request costs an application in calls: a number that is the same on every machine, busy or not."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import FrameType

from starlette.types import ASGIApp, Message


@dataclass
class Calls:
    """How many there were."""

    n: int = 0


@contextlib.contextmanager
def counted_calls() -> Iterator[Calls]:
    """Count the calls, of Python functions and of C functions, that this thread makes in the block."""
    calls = Calls()

    def count(frame: FrameType, event: str, argument: object) -> None:
        if event in ("call", "c_call"):
            calls.n += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(before)


async def calls_of(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    headers: Iterable[tuple[bytes, bytes]] = (),
    body: bytes = b"",
    state: dict[str, object] | None = None,
) -> int:
    """How many calls, of Python functions and of C functions, answering a request takes in this task."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"gateway.example"), *headers],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": state or {},
    }
    answered: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        answered.append(message)

    with counted_calls() as calls:
        await app(scope, receive, send)
    assert answered, "no answer"
    return calls.n
