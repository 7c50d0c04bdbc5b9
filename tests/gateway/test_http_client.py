"""The gateway as an HTTP client behind a proxy."""

import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from gateway.http_client import new_client
from gateway.server.listener import bind
from tests.running import serving


class Proxy:
    """A forward proxy that answers everything itself, and remembers for whom."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(dict(scope["headers"])[b"host"].decode())
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def running_proxy() -> AsyncIterator[Proxy]:
    listener = bind("127.0.0.1", 0)
    proxy = Proxy(f"http://127.0.0.1:{listener.getsockname()[1]}")
    config = uvicorn.Config(proxy, lifespan="off", log_config=None)
    async with serving(proxy, config, listener):
        yield proxy


@pytest.fixture(autouse=True)
def _no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def test_other_machines_are_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_proxy() as proxy, running_proxy() as direct:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "direct.invalid")
        async with new_client(timeout=5) as http:
            assert (await http.get("http://n8n.invalid:5678/webhook")).status_code == 200
            assert proxy.asked == ["n8n.invalid:5678"]
            with pytest.raises(httpx.ConnectError):
                await http.get("http://direct.invalid/")
            for host in (direct.url, direct.url.replace("127.0.0.1", "localhost")):
                assert (await http.get(host)).status_code == 200
        assert proxy.asked == ["n8n.invalid:5678"]
        assert len(direct.asked) == 2
