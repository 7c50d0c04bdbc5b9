"""What the demo keeps in its folder: secrets, and what the stand-in for n8n works on."""

import asyncio
import contextlib
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.demo.executions import Execution, Executions
from gateway.demo.kept_secrets import NAMES, kept_secrets
from gateway.demo.n8n import STEPS, StandInN8n
from gateway.demo.object_store import ObjectStore
from gateway.demo.settings import DEFAULTS, demo_settings
from gateway.server.descriptors import shortage
from gateway.server.listener import bind
from gateway.settings import Settings
from tests.running import eventually, serving

URL = "http://127.0.0.1:8000"


def test_secrets_are_made_once_and_are_their_owners(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    made = kept_secrets(path)
    assert set(made) == set(NAMES)
    assert len(set(made.values())) == len(NAMES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert kept_secrets(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secrets.json"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"n8n_webhook_secret": "x"}'])
def test_a_spoilt_file_of_secrets_is_made_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secrets.json"
    path.write_bytes(content)
    made = kept_secrets(path)
    assert set(made) == set(NAMES)
    assert kept_secrets(path) == made


def test_the_environment_has_its_say(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = demo_settings(URL)
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS
    assert shortage(settings, 4096) is None, "the first minute begins without a warning about files"
    assert settings.origins == {URL, "http://localhost:8000"}
    monkeypatch.setenv("AI_GENERATION_RATE_LIMIT_PER_HOUR", "2")
    monkeypatch.setenv("AI_GENERATION_COST", "0.04")
    monkeypatch.setenv("AI_ORG_MONTHLY_BUDGET", "1")
    monkeypatch.setenv("ALLOWED_ORIGINS", "http://localhost:3000")
    monkeypatch.setenv("APP_URL", "https://production.example.com")
    monkeypatch.setenv("N8N_EDITOR_URL", "https://n8n.example.com/workflow/AbC123")
    settings = demo_settings(URL)
    assert settings.n8n_editor_url == "", "the stand-in's executions are in no editor"
    assert settings.ai_generation_rate_limit_per_hour == 2
    assert str(settings.ai_org_monthly_budget) == "1"
    assert settings.origins == {URL, "http://localhost:8000", "http://localhost:3000"}


def test_a_part_is_one_processs_until_it_ends(tmp_path: Path) -> None:
    """As with two server processes, one of which is replaced."""
    one, two, replacement = (Executions(tmp_path) for _ in range(3))
    with two_parts(one, two) as second:
        one.keep(Execution("1", {"requestId": "a"}, step=3))
        second.keep(Execution("2", {"requestId": "b"}))
        with Executions(tmp_path).taken() as found:
            assert found == []
    with replacement.taken() as found:
        assert found == [Execution("1", {"requestId": "a"}, step=3)]
        replacement.forget(found[0])
    with Executions(tmp_path).taken() as found:
        assert found == []


@contextlib.contextmanager
def two_parts(one: Executions, two: Executions) -> Any:
    with one.taken(), two.taken():
        yield two


class Gateway:
    """Takes callbacks, and answers them with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.reports: list[dict[str, Any]] = []

    async def callback(self, request: Request) -> Response:
        self.reports.append(await request.json())
        return JSONResponse({}, self.status)


@pytest.fixture
async def gateway() -> AsyncIterator[tuple[Gateway, Settings]]:
    gateway = Gateway()
    app = Starlette(routes=[Route("/api/ai-callback", gateway.callback, methods=["POST"])])
    listener = bind("127.0.0.1", 0)
    settings = demo_settings(f"http://127.0.0.1:{listener.getsockname()[1]}")
    async with serving(app, uvicorn.Config(app, log_config=None), listener):
        yield gateway, settings


async def start(n8n: StandInN8n, settings: Settings) -> None:
    """Send a request to the webhook, as the gateway does."""
    payload = {
        "requestId": "r",
        "Product": "Shoes",
        "Your Brand": "Nike",
        "callbackUrl": "http://127.0.0.1:1/an-earlier-port",
        "callbackSecret": "s",
    }
    transport = httpx.ASGITransport(Starlette(routes=n8n.routes))
    headers = {"X-Webhook-Secret": settings.n8n_webhook_secret.get_secret_value()}
    async with httpx.AsyncClient(transport=transport, base_url=URL) as http:
        answer = await http.post("/demo/n8n/webhook/ai-image", json=payload, headers=headers)
    assert answer.status_code == 200


async def test_it_goes_on_with_what_was_cut_off(gateway: tuple[Gateway, Settings], tmp_path: Path) -> None:
    received, settings = gateway
    store = ObjectStore(tmp_path / "objects")

    def stand_in(pause: float) -> StandInN8n:
        return StandInN8n(settings, store, tmp_path / "executions", step_seconds=pause)

    first = stand_in(3600)
    async with first.running():
        await start(first, settings)
        await asyncio.sleep(0)
    assert len(list(tmp_path.glob("executions/1/*.json"))) == 1
    async with stand_in(0).running():

        async def ended() -> bool:
            return not list(tmp_path.glob("executions/1/*.json"))

        await eventually(ended)
    assert [report["status"] for report in received.reports] == ["processing"] * (STEPS - 1) + ["completed"]
    assert (tmp_path / "objects" / received.reports[-1]["Key"]).is_file()


async def test_it_gives_up_what_nobody_wants_any_more(gateway: tuple[Gateway, Settings], tmp_path: Path) -> None:
    received, settings = gateway
    received.status = 404
    n8n = StandInN8n(settings, ObjectStore(tmp_path / "objects"), tmp_path / "executions")
    with Executions(tmp_path / "executions").taken():
        pass
    payload = {"requestId": "r", "Product": "a", "Your Brand": "b", "callbackSecret": "s"}
    cut_off = json.dumps({"id": "7", "payload": payload, "step": 4})
    (tmp_path / "executions" / "1" / "7.json").write_text(cut_off)
    async with n8n.running():

        async def ended() -> bool:
            return not list(tmp_path.glob("executions/1/*.json"))

        await eventually(ended)
    assert [report["progress"] for report in received.reports] == [20]
