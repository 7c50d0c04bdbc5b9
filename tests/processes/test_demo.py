"""The demo, as a stranger meets it: one command, and another that fetches a picture."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.processes.spawning import GatewayProcess
from tests.servers import free_port


def start(folder: Path, spawned: list[GatewayProcess], port: int, **environment: str) -> GatewayProcess:
    """A demo that answers."""
    process = GatewayProcess("demo", "--port", str(port), folder=folder, environment=environment)
    spawned.append(process)
    process.wait_for(f"The gateway's demo runs at http://127.0.0.1:{port}")
    assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False, timeout=30).status_code == 200
    return process


@pytest.fixture
def demo(tmp_path: Path, spawned: list[GatewayProcess]) -> str:
    """A running demo's address."""
    port = free_port()
    start(tmp_path, spawned, port)
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


@pytest.mark.parametrize("end", ["killed", "stopped"])
async def test_a_restart_under_a_waiting_client_completes(
    end: str, tmp_path: Path, spawned: list[GatewayProcess]
) -> None:
    """The command line's token stays good, and the stand-in goes on with the picture that it was drawing."""
    port = free_port()
    first = await asyncio.to_thread(start, tmp_path, spawned, port)
    arguments = "generate", "Shoes", "Nike", "-o", "out.png", "--json", "--url", f"http://127.0.0.1:{port}"
    waiting = GatewayProcess(*arguments, folder=tmp_path, environment={})
    spawned.append(waiting)
    await asyncio.to_thread(waiting.wait_for, r'"progress":10')
    await asyncio.to_thread(first.kill if end == "killed" else first.terminate)
    await asyncio.to_thread(start, tmp_path, spawned, port)
    assert await asyncio.to_thread(waiting.process.wait, 90) == 0, waiting.output()
    bodies = [json.loads(line) for line in waiting.output().splitlines() if line.startswith("{")]
    progress = [body["progress"] for body in bodies if body["progress"] is not None]
    assert progress == sorted(progress)
    assert bodies[-1]["status"] == "completed"
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.format == "PNG"


async def test_the_log_is_short_and_the_limit_is_the_environments(
    tmp_path: Path, spawned: list[GatewayProcess]
) -> None:
    port = free_port()
    process = await asyncio.to_thread(
        start, tmp_path, spawned, port, AI_GENERATION_RATE_LIMIT_PER_HOUR="1", ALLOWED_ORIGINS="http://localhost:3000"
    )
    url = f"http://127.0.0.1:{port}"
    before = process.output()
    assert (await asyncio.to_thread(generate, url, "Shoes", "Nike", folder=tmp_path)).returncode == 0
    lines = process.output().removeprefix(before).splitlines()
    assert 1 <= len(lines) <= 4, lines
    refused = await asyncio.to_thread(generate, url, "Shoes", "Nike", folder=tmp_path)
    assert "Maximum 1 requests per hour" in refused.stderr
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        answer = await http.get("/healthz", headers={"Origin": "http://localhost:3000"})
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"


async def test_what_it_prints_runs(tmp_path: Path, spawned: list[GatewayProcess]) -> None:
    process = await asyncio.to_thread(start, tmp_path, spawned, free_port())
    printed = (await asyncio.to_thread(process.wait_for, "In another terminal: (.+)"))[1]
    done = await asyncio.to_thread(
        subprocess.run,
        shlex.split(printed),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (printed, done.stderr)
    assert (tmp_path / "out.png").is_file()
