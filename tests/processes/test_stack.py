"""`gateway demo --stack`: the production shape on one machine, and metrics of several processes together."""

import asyncio
import re
import tempfile
from pathlib import Path

import httpx
import pytest

from tests.processes.spawning import GatewayProcess
from tests.servers import free_port

pytestmark = pytest.mark.slow


def metric(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} ([0-9.e+-]+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_a_picture_over_two_processes_and_every_scrape_sees_the_sum(
    tmp_path: Path, spawned: list[GatewayProcess]
) -> None:
    port = free_port()
    temporary = Path(tempfile.mkdtemp(prefix="stack-"))
    temporary.chmod(0o755)  # PostgreSQL may have to run as another user
    environment = {"TMPDIR": str(temporary)}
    stack = GatewayProcess("demo", "--stack", "--port", str(port), folder=tmp_path, environment=environment)
    spawned.append(stack)
    await asyncio.to_thread(stack.wait_for, "The gateway's stack runs at")
    url = f"http://127.0.0.1:{port}"
    generating = GatewayProcess(
        "generate", "Shoes", "Nike", "-o", "out.png", "--url", url, folder=tmp_path, environment={}
    )
    spawned.append(generating)
    assert await asyncio.to_thread(generating.process.wait, 60) == 0, generating.output()
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    scraped = set()
    for _ in range(12):  # each on a connection of its own, so that both processes answer
        async with httpx.AsyncClient(trust_env=False) as http:
            text = (await http.get(f"{url}/metrics")).text
        scraped.add((metric(text, 'gateway_callbacks_total{outcome="changed"}'), metric(text, "gateway_bus_healthy")))
    assert scraped == {(20.0, 1.0)}, "whichever process answers"
    assert await asyncio.to_thread(stack.terminate) in (0, -15)
    assert list(temporary.iterdir()) == [], "nothing is left"
    temporary.rmdir()
