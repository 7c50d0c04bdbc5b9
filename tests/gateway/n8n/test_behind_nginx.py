"""n8n behind Debian's nginx: what nginx answers in n8n's place costs no second bill."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.responses import Response, StreamingResponse

from gateway.settings import Settings
from tests.executions_api import kinds
from tests.nginx import nginx
from tests.people import People
from tests.running import RunningGateway, eventually, running_gateway
from tests.scripted_n8n import Received, ScriptedN8n, never
from tests.servers import free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("backend", ["sqlite"], indirect=True),
]


def before(port: int) -> str:
    """nginx's defaults, but for a timeout that a test can wait for (60 s)."""
    return f"location / {{ proxy_pass http://127.0.0.1:{port}; proxy_read_timeout 1s; }}"


async def dies(received: Received) -> Response:
    """n8n is killed while it works: "upstream prematurely closed connection"."""

    async def broken() -> AsyncIterator[bytes]:
        for chunk in list[bytes]():
            yield chunk
        raise ConnectionResetError

    return StreamingResponse(broken())


async def in_doubt(gateway: RunningGateway, request_id: str) -> list[str]:
    async def noted() -> list[str]:
        found = await kinds(gateway, request_id)
        return found if "in_doubt" in found else []

    return list(await eventually(noted))


@pytest.mark.parametrize("script", [never, dies], ids=["answers late (504)", "dies (502)"])
async def test_what_nginx_answers_for_n8n_is_sent_once(
    settings: Settings, users_table: str, n8n: ScriptedN8n, tmp_path: Path, script: object
) -> None:
    n8n.script = script  # type: ignore[assignment]
    webhook = urlsplit(n8n.url)
    assert webhook.port is not None
    async with nginx(tmp_path, before(webhook.port)) as url:
        settings = settings.model_copy(update={"n8n_webhook_url": f"{url}{webhook.path}"})
        async with running_gateway(settings) as gateway:
            ada = await People(gateway.state.database, users_table).person()
            request_id = await gateway.submitted(ada.id)
            found = await in_doubt(gateway, request_id)
            assert "send_again" not in found
            assert n8n.times(request_id) == 1
            answer = await n8n.call_back(n8n.received[0], status="completed", Key="b/a.png", Id="1")
            assert answer.json() == {"success": True}


async def test_an_n8n_that_nginx_cannot_reach_is_in_doubt_too(
    settings: Settings, users_table: str, tmp_path: Path
) -> None:
    """nginx says 502 for both: nobody can tell this one from a workflow that died."""
    async with nginx(tmp_path, before(free_port())) as url:
        settings = settings.model_copy(update={"n8n_webhook_url": f"{url}/webhook/x"})
        async with running_gateway(settings) as gateway:
            ada = await People(gateway.state.database, users_table).person()
            assert "send_again" not in await in_doubt(gateway, await gateway.submitted(ada.id))


@pytest.mark.parametrize("status", [429, 503])
async def test_a_limit_of_nginx_itself_proves_that_nothing_ran(
    settings: Settings, users_table: str, tmp_path: Path, status: int
) -> None:
    """The page is nginx's own, of whichever version: it comes before any connection to n8n."""
    async with nginx(tmp_path, f"location / {{ return {status}; }}") as url:
        settings = settings.model_copy(update={"n8n_webhook_url": f"{url}/webhook/x"})
        async with running_gateway(settings) as gateway:
            ada = await People(gateway.state.database, users_table).person()
            request_id = await gateway.submitted(ada.id)

            async def sent_again() -> bool:
                return "send_again" in await kinds(gateway, request_id)

            await eventually(sent_again)
            assert "in_doubt" not in await kinds(gateway, request_id)
