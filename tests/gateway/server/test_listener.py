"""The listening socket."""

import contextlib
import socket

import pytest
from websockets.asyncio.client import connect

from gateway.app import create_app
from gateway.server.listener import bind
from gateway.server.server import server_config
from gateway.settings import Settings
from tests.running import serving


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system keeps the two apart, or has no IPv6")
def test_every_address_of_ipv6_is_every_address_of_ipv4_too() -> None:
    with bind("::", 0) as listener:
        port = listener.getsockname()[1]
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as client:
                client.connect((host, port))
                accepted, _ = listener.accept()
                accepted.close()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system keeps the two apart, or has no IPv6")
async def test_clients_of_ipv4_on_a_socket_for_both_are_told_apart_behind_a_proxy(settings: Settings) -> None:
    """Their addresses are written as IPv6 there, of one network, and none is that of a trusted proxy."""
    limited = settings.model_copy(update={"ws_connections_per_address": 1})
    app, listener = create_app(limited), bind("::", 0)
    async with serving(app, server_config(app, limited), listener) as server, contextlib.AsyncExitStack() as open_:
        for client in ("198.51.100.1", "203.0.113.9"):
            url = f"ws://127.0.0.1:{listener.getsockname()[1]}/ws"
            headers = {"X-Forwarded-For": client}
            await open_.enter_async_context(connect(url, additional_headers=headers, proxy=None))
        assert server.lifespan.state["gateway"].limits.open == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_one_address_is_one(host: str) -> None:
    with bind(host, 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        with pytest.raises(OSError, match="in use"):
            bind(host, listener.getsockname()[1])
