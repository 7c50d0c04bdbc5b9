"""What a peer may do to an HTTP connection, in each of its states, on a small application."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.scope_extensions import HAND_OVER, received_body
from gateway.server import http_protocol
from gateway.server.http_protocol import MAX_HEAD, MAX_HEADERS, MAX_PIPELINED
from gateway.server.joined_response import MOST
from gateway.server.keepalive import Keepalive
from gateway.server.listener import bind
from gateway.server.open_connections import OpenConnections
from gateway.server.server import server_config
from gateway.server.stream_protocol import Streams
from gateway.server.websocket_protocol import WebSockets
from gateway.settings import Settings
from tests.gateway.server.raw import UPGRADE, Peer, peer
from tests.gateway.server.test_stream_protocol import Recording as StreamRecording
from tests.gateway.server.test_websocket_protocol import Entrance
from tests.running import eventually, serving

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


@dataclass
class Served:
    url: str
    counted: OpenConnections
    connections: set[object]
    go_on: asyncio.Event
    entrance: Entrance
    streamed: list[StreamRecording]
    """The sessions of `/stream/…`."""

    @contextlib.asynccontextmanager
    async def peer(self) -> AsyncIterator[Peer]:
        async with peer(self.url) as connection:
            yield connection

    async def until_gone(self) -> None:
        await eventually(lambda: asyncio.sleep(0, not self.connections and self.counted.open == 0))


Serve = Callable[..., contextlib.AbstractAsyncContextManager[Served]]


@contextlib.asynccontextmanager
async def small_application(
    *,
    per_address: int = 100,
    in_total: int = 100,
    keep_alive: float = 75.0,
    root_path: str = "",
    proxies: str = "192.0.2.1",
) -> AsyncIterator[Served]:
    go_on = asyncio.Event()
    entrance = Entrance()
    streamed: list[StreamRecording] = []
    counted = OpenConnections(per_address=per_address, in_total=in_total)

    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(b"got " + await request.body())

    async def received(request: Request) -> PlainTextResponse:
        body = received_body(request.scope)
        return PlainTextResponse(b"still coming" if body is None else b"has come: " + body)

    async def late(request: Request) -> StreamingResponse:
        async def content() -> AsyncIterator[bytes]:
            await go_on.wait()
            yield b"late"

        return StreamingResponse(content())

    async def wait(request: Request) -> PlainTextResponse:
        await go_on.wait()
        return PlainTextResponse("waited")

    async def large(request: Request) -> StreamingResponse:
        async def content() -> AsyncIterator[bytes]:
            for _ in range(1000):
                yield b"x" * 65536

        return StreamingResponse(content())

    class Streaming:
        """Hands itself over, on a connection to which something has happened before."""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            hand_over = scope["extensions"][HAND_OVER]
            await send({"type": "http.response.start", "status": 200, "headers": []})
            transport = hand_over.__self__.transport
            if scope["path"] == "/stream/full":
                transport.write(b"x" * 20_000_000)
            elif scope["path"] == "/stream/closing":
                transport.close()
            streamed.append(session := StreamRecording())
            try:
                hand_over(session)
            except ConnectionError:
                session.told.append("gone")

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, object]]:
        websockets = WebSockets({"/ws": entrance}, Keepalive(3600.0), 16384, 50.0, 30.0)
        streams = Streams(Keepalive(3600.0), 0.2)
        yield {"websockets": websockets, "streams": streams, "open_connections": counted}

    routes = [
        Route("/", echo, methods=["GET", "POST"]),
        Route("/wait", wait, methods=["GET", "POST"]),
        Route("/large", large),
        Route("/late", late),
        Route("/received", received, methods=["POST"]),
        Route("/stream/{how}", Streaming()),
    ]
    listener = bind("127.0.0.1", 0)
    config = server_config(Starlette(routes=routes, lifespan=lifespan), Settings.load({"forwarded_allow_ips": proxies}))
    config.timeout_keep_alive = keep_alive  # type: ignore[assignment]
    config.root_path = root_path
    async with serving(config.app, config, listener) as server:  # type: ignore[arg-type]
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Served(url, counted, server.server_state.connections, go_on, entrance, streamed)  # type: ignore[arg-type]
        go_on.set()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with small_application() as one:
        yield one


def bodies(heard: bytes) -> list[bytes]:
    """The bodies of the answers, none of which is chunked or has a body of more lines."""
    return [part.split(b"HTTP/1.1 ")[0] for part in heard.split(b"\r\n\r\n")[1:]]


# -- upgrades that are none, and that cannot be -----------------------------------------------------------------------


@pytest.mark.parametrize("split", [0, 5, 60, -3])
async def test_an_upgrade_to_h2c_is_ignored_and_the_body_is_read(served: Served, split: int) -> None:
    """Java's and curl's HTTP/2 clients ask for it beside every request; a next request behind it is read too."""
    request = b"POST / HTTP/1.1\r\nHost: x\r\n" + H2C + b"Content-Length: 5\r\n\r\nhello"
    async with served.peer() as connection:
        await connection.say(request[:split])
        await asyncio.sleep(0.01)
        await connection.say(request[split:] + GET)
        await connection.say(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert bodies(await connection.hear()) == [b"got hello", b"got ", b"got "]


async def test_a_chunked_body_behind_an_h2c_upgrade_is_read(served: Served) -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + H2C.replace(
        b"Upgrade,", b"close, Upgrade,"
    )
    async with served.peer() as connection:
        await connection.say(request + b"\r\n5\r\nhello\r\n0\r\n\r\n")
        assert bodies(await connection.hear()) == [b"got hello"], "and `close` is still heard"


@pytest.mark.parametrize(
    "request_",
    [
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        UPGRADE.replace(b"/ws", b"http://x") % b"",
        UPGRADE.replace(b"/ws", b"http://[::1") % b"",
        UPGRADE.replace(b"/ws", b"/\xff") % b"",
        UPGRADE % b"Content-Length: 5\r\n",
        UPGRADE % b"Transfer-Encoding: chunked\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_what_cannot_be_served_is_refused_at_once(
    served: Served, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with served.peer() as connection:
        await connection.say(request_)
        heard = await connection.hear()
    assert heard.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 "))
    assert "code" in json.loads(bodies(heard)[0])
    await served.until_gone()
    assert caplog.records == [], "no traceback either"


async def test_no_upgrade_before_the_last_answer(served: Served) -> None:
    """The answer would end up among the frames."""
    async with served.peer() as connection:
        await connection.say(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n" + UPGRADE % b"")
        heard = await connection.hear()
    assert b" 101 " not in heard
    await served.until_gone()


async def test_an_upgrade_after_the_last_answer(served: Served) -> None:
    async with served.peer() as connection:
        await connection.say(GET)
        await connection.hear_until(b"got ")
        await connection.say(UPGRADE % b"" + b"\x89\x80\x00\x00\x00\x00")
        assert (await connection.hear_until(b"\x8a\x00")).startswith(b"HTTP/1.1 101 ")
        assert served.counted.open == 0, "it counts among the WebSockets now"


async def test_a_transport_refuses_before_the_upgrade_is_answered(served: Served) -> None:
    async with served.peer() as connection:
        await connection.say(UPGRADE.replace(b"/ws", b"/ws?refuse") % b"")
        heard = await connection.hear()
    assert heard.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b'"code":"too_many_connections"' in heard
    await served.until_gone()


@pytest.mark.parametrize("path", [b"/ws", b"/gateway/ws"])
async def test_an_upgrade_under_a_prefix(path: bytes) -> None:
    """Whether the proxy in front takes the prefix away or not."""
    async with small_application(root_path="/gateway") as served, served.peer() as connection:
        await connection.say(UPGRADE.replace(b"/ws", path) % b"")
        assert (await connection.hear_until(b"\r\n")).startswith(b"HTTP/1.1 101 ")


# -- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nX: " + b"x" * (MAX_HEAD + 1) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD,
        b"GET / HTTP/1.1\r\n" + b"x" * MAX_HEAD,
        b"GET /" + b"x" * MAX_HEAD,
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (MAX_HEADERS + 1) + b"\r\n",
        UPGRADE % (b"X: y\r\n" * MAX_HEADERS),
        UPGRADE % (b"X: " + b"x" * MAX_HEAD + b"\r\n"),
    ],
)
async def test_a_head_has_a_bound(served: Served, request_: bytes) -> None:
    async with served.peer() as connection:
        await connection.say(request_)
        assert (await connection.hear()).startswith(b"HTTP/1.1 431 ")
    await served.until_gone()


async def test_a_head_within_the_bounds_is_served(served: Served) -> None:
    """A session cookie of 14 KB, 200 headers: upgrades like this used to hang."""
    more = b"Cookie: " + b"c" * 14_000 + b"\r\n" + b"X: y\r\n" * 200
    async with served.peer() as connection, served.peer() as other:
        await connection.say(UPGRADE % more)
        assert (await connection.hear_until(b"\r\n")).startswith(b"HTTP/1.1 101 ")
        await other.say(GET.replace(b"\r\n\r\n", b"\r\n" + more + b"\r\n"))
        assert (await other.hear_until(b"\r\n")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "endless",
    [
        b"X: " + b"y" * 1000 + b"\r\n",  # trailers
        b"X" * 1000,  # one that never ends
    ],
)
async def test_trailers_have_a_bound(served: Served, endless: bytes) -> None:
    async with served.peer() as connection:
        await connection.say(b"POST /wait HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        sent = 0
        while sent < 100 * MAX_HEAD and await connection.say(endless * 10):
            sent += len(endless) * 10
            await asyncio.sleep(0)
        await connection.hear()
    await served.until_gone()
    assert sent < 100 * MAX_HEAD, "dropped long before"


async def test_a_few_trailers_are_passed_over(served: Served) -> None:
    async with served.peer() as connection:
        await connection.say(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n"
        )
        await connection.hear_until(b"got hi")
        await connection.say(GET)
        await connection.hear_until(b"got ")


async def test_a_body_in_many_small_chunks_is_no_noise(served: Served) -> None:
    chunks = b"1\r\nx\r\n" * 4000
    async with served.peer() as connection:
        await connection.say(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        await connection.say(chunks + b"0\r\n\r\n")
        assert (await connection.hear_until(b"got " + b"x" * 4000)).startswith(b"HTTP/1.1 200 ")


async def test_a_body_in_ever_so_many_pieces_is_refused(served: Served) -> None:
    """A megabyte of them would hold up everyone for half a second."""
    async with served.peer() as connection:
        await connection.say(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        await connection.say(b"1\r\nx\r\n" * 10_000)
        assert b" 200 " not in await connection.hear()
    await served.until_gone()


async def test_few_requests_wait_on_a_connection(served: Served) -> None:
    wait = b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"
    async with served.peer() as connection:
        await connection.say(wait * (MAX_PIPELINED + 2))
        assert await connection.hear() == b""
    await served.until_gone()


async def test_pipelined_requests_are_answered_in_order(served: Served) -> None:
    posts = [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d" % number for number in range(9)]
    async with served.peer() as connection:
        await connection.say(b"".join(posts) + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert bodies(await connection.hear()) == [b"got %d" % number for number in range(9)] + [b"got "]


# -- answers ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is written to sockets, by anybody in this process."""
    written: list[bytes] = []
    write = asyncio.selector_events._SelectorSocketTransport.write  # type: ignore[attr-defined]

    def recorded(transport: object, data: bytes) -> None:
        written.append(bytes(data))
        write(transport, data)

    monkeypatch.setattr(asyncio.selector_events._SelectorSocketTransport, "write", recorded)  # type: ignore[attr-defined]
    return written


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
async def test_head_and_body_are_one_write(served: Served, writes: list[bytes], expect: bytes) -> None:
    async with served.peer() as connection:
        await connection.say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n" + expect + b"\r\n")
        if expect:
            assert await connection.hear_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await connection.say(b"body")
        await connection.hear_until(b"got body")
    heads = [data for data in writes if data.startswith(b"HTTP/1.1 200")]
    assert len(heads) == 1
    assert heads[0].endswith(b"\r\n\r\ngot body")


async def test_a_large_body_is_not_copied_behind_its_head(served: Served, writes: list[bytes]) -> None:
    body = b"x" * MOST
    async with served.peer() as connection:
        await connection.say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await connection.hear_until(b"got " + body)
    assert b"got " + body in writes


async def test_a_head_without_a_body_is_written(served: Served) -> None:
    async with served.peer() as connection:
        await connection.say(GET.replace(b"GET", b"HEAD"))
        assert b"content-length: 4" in await connection.hear_until(b"\r\n\r\n")
        await connection.say(GET)
        assert (await connection.hear_until(b"got ")).startswith(b"HTTP/1.1 200 OK")


async def test_the_head_of_a_stream_does_not_wait_for_it(served: Served) -> None:
    async with served.peer() as connection:
        await connection.say(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in await connection.hear_until(b"\r\n\r\n")
        assert not served.go_on.is_set()
        served.go_on.set()
        assert await connection.hear_until(b"0\r\n\r\n") == b"4\r\nlate\r\n0\r\n\r\n"


async def test_a_body_that_has_come_is_told_to_whom_it_belongs(served: Served) -> None:
    """Also where several requests come at once."""
    post = b"POST /received HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
    async with served.peer() as connection:
        await connection.say(post % (3, b"one") + post % (3, b"two") + post % (0, b""))
        for body in (b"one", b"two", b""):
            assert (await connection.hear_until(b"has come: " + body)).startswith(b"HTTP/1.1 200 OK")
        await connection.say(post % (5, b"half"))
        await connection.hear_until(b"still coming")


# -- times: whatever is waited for that is not the application --------------------------------------------------------

STATES = {
    "before the head": b"",
    "half a head": b"GET / HT",
    "half an upgrade": UPGRADE[:60],
    "only noise": b"\r\n\r\n",
    "the next head": GET + b"G",
    "noise after an answer": GET,
    "the body of what was answered": b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx",
    "the trailers of what was answered": (
        b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: "
    ),
}


async def enter(connection: Peer, state: str) -> None:
    """Bring the connection into `state`."""
    await connection.say(STATES[state])
    if state == "noise after an answer":
        await connection.hear_until(b"got ")
        await connection.say(b"\r\n")


@pytest.mark.parametrize("state", STATES)
async def test_silence_ends_every_state(served: Served, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.3)
    async with served.peer() as connection:
        await enter(connection, state)
        await connection.hear()
    await served.until_gone()


@pytest.mark.parametrize("state", STATES)
async def test_a_drip_prolongs_no_state(served: Served, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.5)
    drip = b"\r\n" if "noise" in state or state == "before the head" else b"x"
    async with served.peer() as connection:
        await enter(connection, state)
        assert await connection.drip(drip, 0.05) < 10
    await served.until_gone()


async def test_an_idle_connection_is_kept_and_then_closed() -> None:
    async with small_application(keep_alive=0.5) as served, served.peer() as connection:
        for _ in range(2):
            await connection.say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
            await connection.hear_until(b"got hi")
            assert await connection.is_open()
        assert await connection.hear() == b""
        await served.until_gone()


async def test_the_rest_of_what_was_answered_may_come_and_the_next_is_served(served: Served) -> None:
    async with served.peer() as connection:
        await connection.say(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nx")
        await connection.hear_until(b"Not Found")
        await connection.say(b"xxx" + GET)
        await connection.hear_until(b"got ")


async def test_the_application_is_waited_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.05)
    async with served.peer() as connection:
        await connection.say(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.3)
        assert await connection.is_open()
        served.go_on.set()
        await connection.hear_until(b"waited")


@pytest.mark.parametrize("ask", [b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /large HTTP/1.0\r\n\r\n"])
async def test_who_does_not_read_is_dropped(served: Served, monkeypatch: pytest.MonkeyPatch, ask: bytes) -> None:
    monkeypatch.setattr(http_protocol, "WRITE_SECONDS", 0.3)
    async with served.peer() as connection:
        connection._writer.transport.pause_reading()  # type: ignore[attr-defined]
        await connection.say(ask)
        await served.until_gone()


async def test_who_pipelines_and_does_not_read_is_dropped(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "WRITE_SECONDS", 0.3)
    async with served.peer() as connection:
        connection._writer.transport.pause_reading()  # type: ignore[attr-defined]
        await connection.say(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * MAX_PIPELINED)
        await served.until_gone()


# -- how many ---------------------------------------------------------------------------------------------------------


async def test_connections_of_an_address_are_bounded() -> None:
    async with small_application(per_address=2) as served, served.peer() as first, served.peer() as second:
        for connection in (first, second):
            await connection.say(GET)
            await connection.hear_until(b"got ")
        async with served.peer() as third:
            heard = await third.hear()
            assert heard.startswith(b"HTTP/1.1 503 ")
        await first.say(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await first.hear()
        await eventually(lambda: asyncio.sleep(0, served.counted.open == 1))
        async with served.peer() as fourth:
            await fourth.say(GET)
            await fourth.hear_until(b"got ")


async def test_a_proxy_stands_for_many_but_not_for_all() -> None:
    async with (
        small_application(per_address=1, in_total=2, proxies="127.0.0.1") as served,
        served.peer() as first,
        served.peer() as second,
    ):
        for connection in (first, second):
            await connection.say(GET)
            await connection.hear_until(b"got ")
        async with served.peer() as third:
            assert (await third.hear()).startswith(b"HTTP/1.1 503 ")


# -- the end ----------------------------------------------------------------------------------------------------------


async def test_a_server_that_stops_waits_for_no_peer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One in every state, half of them without reading."""
    async with contextlib.AsyncExitStack() as stack, small_application() as served:
        for number, said in enumerate([*STATES.values(), UPGRADE % b"", b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"]):
            connection = await stack.enter_async_context(served.peer())
            if number % 2:
                connection._writer.transport.pause_reading()  # type: ignore[attr-defined]
            await connection.say(said)
        await eventually(lambda: asyncio.sleep(0, len(served.connections) == len(STATES) + 2))
    assert not [record for record in caplog.records if record.exc_info]


# -- streams that leave HTTP ------------------------------------------------------------------------------------------


async def test_a_stream_that_begins_before_a_client_that_does_not_read_is_dropped(served: Served) -> None:
    """The transport says once that it is full, and said so to HTTP."""
    async with peer(served.url) as client:
        await client.say(GET.replace(b"/ ", b"/stream/full ", 1))

        async def dropped() -> bool:
            return bool(served.streamed) and served.streamed[0].told == ["paused", "closed"]

        assert await eventually(dropped)
    assert served.counted.open == 0


async def test_a_stream_whose_client_has_gone_is_told_so_and_nobody_else(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async with peer(served.url) as client:
        await client.say(GET.replace(b"/ ", b"/stream/closing ", 1))
        await client.hear()
    assert [session.told for session in served.streamed] == [["gone"]]
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_stream_has_the_connection_to_itself(served: Served) -> None:
    async with peer(served.url) as client:
        await client.say(GET + GET.replace(b"/ ", b"/stream/on ", 1) + GET)
        heard = await client.hear_until(b"chunked\r\n\r\n")
        assert heard.count(b"HTTP/1.1 200 OK") == 2
        assert served.counted.open == 0, "it counts among the streams now"

        async def alone() -> bool:
            return len(served.connections) == 1

        assert await eventually(alone)

    async def closed() -> bool:
        return served.streamed[0].told == ["paused", "closed"] and not served.connections

    assert await eventually(closed)
