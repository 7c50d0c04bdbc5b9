"""What we take from uvicorn beside its public surface. A version that changes it fails here, and not in production."""

import asyncio
import inspect

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.server.http_protocol import PER_CONNECTION, BoundedHttpProtocol
from gateway.server.server import GatewayServer, server_config
from gateway.settings import Settings

OURS = {"abort"}
"""New ones, under names that uvicorn does not have."""


@pytest.mark.parametrize(
    ("ours", "theirs"), [(BoundedHttpProtocol, HttpToolsProtocol), (GatewayServer, uvicorn.Server)]
)
def test_what_we_override_is_there(ours: type, theirs: type) -> None:
    methods = {name for name, value in vars(ours).items() if inspect.isfunction(value) and not name.startswith("_")}
    assert methods - OURS <= set(dir(theirs))
    assert not OURS & set(dir(theirs))
    assert {"_start", "_drop_everyone", "_keep_beating", "_limit", "_refuse", "_timer", "_upgrade"}.isdisjoint(
        dir(theirs)
    )


async def test_the_attributes_that_we_read_are_there() -> None:
    async def app(scope: object, receive: object, send: object) -> None: ...

    config = server_config(app, Settings.load())
    server = uvicorn.Server(config)
    assert server._captured_signals == []
    assert {"should_exit", "force_exit", "started"} <= set(vars(server))
    config.load()
    protocol, other = (HttpToolsProtocol(config, server.server_state, {}, asyncio.get_running_loop()) for _ in range(2))
    changing = {name for name, value in vars(protocol).items() if value is not vars(other)[name]}
    assert changing - {"app_state"} == set(PER_CONNECTION)
    wanted = {
        "app_state",
        "connections",
        "cycle",
        "headers",
        "pipeline",
        "root_path",
        "timeout_keep_alive_task",
        "flow",
    }
    assert wanted <= set(vars(protocol))
    read = {"response_started", "response_complete", "chunked_encoding", "disconnected", "more_body", "body"}
    assert read | {"scope", "transport"} <= set(RequestResponseCycle.__init__.__code__.co_names)
