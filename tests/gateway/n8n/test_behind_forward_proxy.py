"""n8n through a forward proxy (`HTTP_PROXY`, `HTTPS_PROXY`): what the proxy itself says of a POST."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest

from gateway.settings import Settings
from tests.executions_api import kinds
from tests.people import People
from tests.running import eventually, running_gateway

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def _no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # where the gateway itself listens


class Proxy:
    """A forward proxy that answers whatever it is asked for with the same."""

    def __init__(self, status: int, body: str) -> None:
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Length: {len(body)}\r\n"
        self._answer = f"{head}Content-Type: text/html\r\nConnection: close\r\n\r\n{body}".encode()
        self.asked: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self._answer)
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def running_proxy(status: int, body: str = "") -> AsyncIterator[tuple[Proxy, str]]:
    proxy = Proxy(status, body)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    async with server:
        yield proxy, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def first_verdict(settings: Settings, users_table: str, url: str) -> str:
    """How the first sending to `url` is noted."""
    async with running_gateway(settings.model_copy(update={"n8n_webhook_url": url})) as gateway:
        ada = await People(gateway.state.database, users_table).person()
        request_id = await gateway.submitted(ada.id)

        async def noted() -> str | None:
            found = await kinds(gateway, request_id)
            return next((kind for kind in found if kind in ("send_again", "in_doubt")), None)

        return str(await eventually(noted))


@pytest.mark.parametrize("status", [403, 407, 502, 503, 504])
async def test_a_proxy_that_makes_no_tunnel_has_sent_nothing(
    settings: Settings, users_table: str, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    async with running_proxy(status) as (proxy, address):
        monkeypatch.setenv("HTTPS_PROXY", address)
        assert await first_verdict(settings, users_table, "https://n8n.invalid/webhook/x") == "send_again"
    assert proxy.asked
    assert all(head.startswith(b"CONNECT n8n.invalid:443 ") for head in proxy.asked)


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (502, "", "in_doubt"),
        (503, "<h1>The requested URL could not be retrieved</h1>", "in_doubt"),
        (504, "", "in_doubt"),
        (503, "no healthy upstream", "send_again"),
    ],
)
async def test_what_a_proxy_answers_for_n8n_is_an_answer(
    settings: Settings, users_table: str, monkeypatch: pytest.MonkeyPatch, status: int, body: str, verdict: str
) -> None:
    """Without TLS there is no tunnel: the proxy takes the POST itself."""
    async with running_proxy(status, body) as (proxy, address):
        monkeypatch.setenv("HTTP_PROXY", address)
        assert await first_verdict(settings, users_table, "http://n8n.invalid/webhook/x") == verdict
    assert proxy.asked[0].startswith(b"POST http://n8n.invalid/webhook/x ")
