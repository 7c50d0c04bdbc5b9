"""The demo, as a stranger meets it: one command, and another that fetches a picture."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.processes.spawning import GatewayProcess
from tests.servers import free_port


@pytest.fixture
def demo(tmp_path: Path, spawned: list[GatewayProcess]) -> str:
    """A running demo's address."""
    port = free_port()
    process = GatewayProcess("demo", "--port", str(port), folder=tmp_path, environment={})
    spawned.append(process)
    process.wait_for(f"The gateway's demo runs at http://127.0.0.1:{port}")
    return f"http://127.0.0.1:{port}"


def generate(demo: str, *arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "gateway", "generate", *arguments, "--url", demo],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_picture_in_one_command(demo: str, tmp_path: Path) -> None:
    done = await asyncio.to_thread(generate, demo, "Running Shoes", "Nike", "-o", "out.png", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1024, 1280))
    assert done.stdout.strip().startswith(f"{demo}/storage/v1/object/public/ai-images/")
    assert "completed" in done.stderr


async def test_failure_on_demand(demo: str, tmp_path: Path) -> None:
    done = await asyncio.to_thread(generate, demo, "Shoes that fail", "Nike", folder=tmp_path)
    assert done.returncode == 1
    assert "asked to fail" in done.stderr


async def test_who_may_reach_it(demo: str) -> None:
    async with httpx.AsyncClient(base_url=demo, verify=False) as http:
        assert (await http.get("/demo/session")).status_code == 200
        rebound = await http.get("/demo/session", headers={"Host": "evil.example"})
        assert rebound.status_code == 400
        assert "access_token" not in rebound.text
        webhook = await http.post("/demo/n8n/webhook/ai-image", json={}, headers={"X-Webhook-Secret": "x"})
        assert (webhook.status_code, webhook.text) == (403, "Authorization data is wrong!")
        for path in ("/storage/v1/object/public/../gateway.sqlite3", "/storage/v1/object/public/..%2fgateway.sqlite3"):
            assert (await http.get(path)).status_code == 404
