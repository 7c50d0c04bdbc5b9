"""Ctrl-C: servers stop in good order, and who waits for a picture is told how to come back to it."""

import asyncio
import ctypes
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes.spawning import GatewayProcess
from tests.processes.test_demo import start
from tests.servers import Postgres, Valkey, free_port

pytestmark = pytest.mark.slow

NOISE = ("Aborted", "Traceback", "KeyboardInterrupt")


def interrupted(process: GatewayProcess) -> int:
    """The exit status after Ctrl-C."""
    process.process.send_signal(signal.SIGINT)
    return process.wait()


async def test_a_demo_stops_quietly(tmp_path: Path, spawned: list[GatewayProcess]) -> None:
    process = await asyncio.to_thread(start, tmp_path, spawned, free_port())
    assert await asyncio.to_thread(interrupted, process) == 0
    assert not [word for word in NOISE if word in process.output()], process.output()


@pytest.mark.parametrize("arguments", [("serve",), ("serve", "--workers", "2"), ("worker",), ("worker", "--port")])
def test_servers_stop_quietly(
    arguments: tuple[str, ...], tmp_path: Path, spawned: list[GatewayProcess], postgres: Postgres, valkey: Valkey
) -> None:
    environment = {"DATABASE_URL": postgres.url("migrated"), "REDIS_URL": valkey.url, "N8N_WEBHOOK_URL": "http://h/x"}
    if arguments[-1] == "--port":
        arguments = (*arguments, "0")
    elif arguments[0] == "serve":
        arguments = (*arguments, "--port", "0")
    process = GatewayProcess(*arguments, folder=tmp_path, environment=environment)
    spawned.append(process)
    process.wait_for("bus_live")
    assert interrupted(process) == 0, process.output()
    assert not [word for word in NOISE if word in process.output()], process.output()


async def test_who_waits_is_told_how_to_come_back(tmp_path: Path, spawned: list[GatewayProcess]) -> None:
    port = free_port()
    await asyncio.to_thread(start, tmp_path, spawned, port)
    where = ("--url", f"http://127.0.0.1:{port}")
    waiting = GatewayProcess("generate", "Shoes", "Nike", "--json", *where, folder=tmp_path, environment={})
    spawned.append(waiting)
    await asyncio.to_thread(waiting.wait_for, r'"status":"processing"')
    assert await asyncio.to_thread(interrupted, waiting) == 130
    assert not [word for word in NOISE if word in waiting.output()], waiting.output()
    told = re.search(r"The request goes on\. Come back to it with `(.+?)`, or end it with `(.+?)`", waiting.output())
    assert told is not None, waiting.output()
    assert "cancel" in told[2]
    watch = told[1].split()
    again = GatewayProcess(*watch[watch.index("gateway") + 1 :], folder=tmp_path, environment={})
    spawned.append(again)
    assert await asyncio.to_thread(again.wait) == 0, again.output()
    assert f"http://127.0.0.1:{port}/storage/v1/object/public/ai-images/" in again.output()


def _obey_permissions() -> None:
    """Give up root's right to write everywhere (capabilities(7): CAP_DAC_OVERRIDE leaves the bounding set)."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)


@pytest.mark.parametrize("arguments", [("demo", "--port", "0"), ("migrate",), ("serve", "--port", "0")])
def test_a_folder_without_write_permission_is_a_sentence(arguments: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=_obey_permissions,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "written" in done.stderr or "Permission denied" in done.stderr, done.stderr
