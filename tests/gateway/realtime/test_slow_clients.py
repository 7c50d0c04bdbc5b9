"""Clients that do not read, do not answer, or do not finish what they say."""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import msgspec
import psutil
import pytest
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from gateway.realtime.update import Update
from gateway.server import http_protocol, push_protocol
from gateway.settings import Settings
from storage.lifecycle import Status
from tests.people import People
from tests.running import RunningGateway, eventually, receive, running_gateway, send


@contextlib.asynccontextmanager
async def raw_connection(gateway: RunningGateway) -> AsyncIterator[socket.socket]:
    """A TCP connection with a small window, which reads only when told to."""
    parts = urlsplit(gateway.url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (parts.hostname, parts.port))
        yield connection


async def subscribe_and_stop_reading(gateway: RunningGateway, connection: socket.socket, user_id: str) -> None:
    """Upgrade, subscribe to everything of the user, and never read again."""
    loop = asyncio.get_running_loop()
    client = ClientProtocol(parse_uri(gateway.url.replace("http", "ws") + "/ws"), max_size=None)
    request = client.connect()
    request.headers["Authorization"] = f"Bearer {gateway.token(user_id)}"
    client.send_request(request)
    for data in client.data_to_send():
        await loop.sock_sendall(connection, data)
    client.receive_data(await loop.sock_recv(connection, 4096))
    client.events_received()
    client.send_text(json.dumps({"type": "subscribe", "scope": "mine"}).encode())
    for data in client.data_to_send():
        await loop.sock_sendall(connection, data)

    async def subscribed() -> bool:
        return any(w.mine for subscribers in gateway.state.hub._topics.values() for w in subscribers)

    await eventually(subscribed)


def flood(gateway: RunningGateway, user_id: str, versions: range, *, requests: int = 50, size: int = 4000) -> None:
    """Deliver many large updates of a few requests."""
    body = msgspec.Raw(msgspec.json.encode({"x": "y" * size}))
    for version in versions:
        for number in range(requests):
            gateway.state.hub.deliver(Update(str(number), user_id, version, Status.PROCESSING, body))


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_client_that_never_reads_is_dropped_and_holds_little(settings: Settings, users_table: str) -> None:
    async with running_gateway(settings.model_copy(update={"ws_stall_seconds": 4.0})) as gateway:
        people = People(gateway.state.database, users_table)
        slow, quick = await people.person(), await people.person()
        async with raw_connection(gateway) as connection, gateway.watching(quick.id) as reader:
            await subscribe_and_stop_reading(gateway, connection, slow.id)
            await send(reader, type="subscribe", scope="mine")
            await receive(reader)
            (subscriber,) = [w for ws in gateway.state.hub._topics.values() for w in ws if w.user_id == slow.id]
            version = 0
            while not subscriber._pending:  # the sockets' buffers are full: from here on it stalls
                version += 1
                flood(gateway, slow.id, range(version, version + 1))
                await asyncio.sleep(0)
            flood(gateway, quick.id, range(1, 2), requests=20)
            for _ in range(20):
                assert (await receive(reader))["type"] == "update"
            assert gateway.state.hub.subscribers == 2, "one that stalls, and is still held, delays nobody else"
            before = psutil.Process(os.getpid()).memory_info().rss
            for start in range(version, version + 2000, 10):  # 2,000 × 50 updates of 4 KB: 400 MB, if they were queued
                flood(gateway, slow.id, range(start, start + 10))
                await asyncio.sleep(0)
                assert len(subscriber._pending or {}) <= 50
            assert psutil.Process(os.getpid()).memory_info().rss - before < 20_000_000

            async def dropped() -> bool:
                return gateway.state.hub.subscribers == 1

            await eventually(dropped)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_half_open_connection_is_found_by_ping(settings: Settings, users_table: str) -> None:
    async with running_gateway(settings.model_copy(update={"ws_ping_seconds": 1.5})) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        async with raw_connection(gateway) as connection:
            await subscribe_and_stop_reading(gateway, connection, ada.id)

            async def gone() -> bool:
                return gateway.state.hub.subscribers == 0

            await eventually(gone)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_who_pings_without_reading_is_dropped(gateway: RunningGateway) -> None:
    """Pongs are written past the application; here nobody has even said who they are."""
    client = ClientProtocol(parse_uri(gateway.url.replace("http", "ws") + "/ws"))
    async with raw_connection(gateway) as connection:
        loop = asyncio.get_running_loop()
        client.send_request(client.connect())
        for data in client.data_to_send():
            await loop.sock_sendall(connection, data)
        client.receive_data(await loop.sock_recv(connection, 4096))
        for _ in range(100):
            client.send_ping(b"x" * 125)
        pings = b"".join(client.data_to_send())
        dropped = False
        async with asyncio.timeout(20):
            for _ in range(60_000_000 // len(pings)):
                try:
                    await loop.sock_sendall(connection, pings)
                except ConnectionError:
                    dropped = True
                    break
        assert dropped


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_head_that_never_ends_is_refused(gateway: RunningGateway) -> None:
    async with raw_connection(gateway) as connection:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        with contextlib.suppress(ConnectionError):
            for number in range(40):
                await loop.sock_sendall(connection, b"X-%d: %s\r\n" % (number, b"y" * 4000))
        answer = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(5):
                while chunk := await loop.sock_recv(connection, 4096):
                    answer += chunk
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    assert (await gateway.http.get("/healthz")).status_code == 200


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("said", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"])
async def test_a_head_that_drips_holds_no_connection(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
    async with raw_connection(gateway) as connection:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, said)
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await loop.sock_recv(connection, 4096) == b""


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_large_but_usual_heads_are_fine(gateway: RunningGateway) -> None:
    cookies = {"Cookie": "; ".join(f"sb-x-auth-token.{n}={'a' * 3000}" for n in range(5))}
    assert (await gateway.http.get("/healthz", headers=cookies)).status_code == 200


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_body_that_never_ends_is_given_up(
    gateway: RunningGateway, users_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.api import parsing

    monkeypatch.setattr(parsing, "BODY_SECONDS", 0.2)
    ada = await People(gateway.state.database, users_table).person()

    async def dripping() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(1)
        yield b"}"

    headers = {**gateway.bearer(ada.id), "Content-Type": "application/json"}
    answer = await gateway.http.post("/api/ai-generate", content=dripping(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (408, "request_timeout")


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_who_is_closed_without_reading_is_freed(
    gateway: RunningGateway, users_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The close frame lies behind what the peer never reads; the socket must not wait for it."""
    monkeypatch.setattr(push_protocol, "CLOSE_SECONDS", 0.5)
    ada = await People(gateway.state.database, users_table).person()

    def open_sockets() -> int:
        return len([c for c in psutil.Process().net_connections("tcp") if c.status == "ESTABLISHED" and c.raddr])

    async with raw_connection(gateway) as connection:
        await subscribe_and_stop_reading(gateway, connection, ada.id)
        for start in range(1, 401, 10):
            flood(gateway, ada.id, range(start, start + 10))
            await asyncio.sleep(0)
        held = open_sockets()
        await asyncio.get_running_loop().sock_sendall(connection, b"\x81\x81\x00\x00\x00\x00[")  # a bad frame

        async def freed() -> bool:
            return gateway.state.hub.subscribers == 0 and open_sockets() < held

        await eventually(freed)
