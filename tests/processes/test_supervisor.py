"""`serve --workers`: one that dies is replaced, whatever is away meanwhile, and no failure looks like a success."""

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

import httpx
import psutil
import pytest

from storage import migrations
from tests.processes.conftest import Serve
from tests.processes.spawning import GatewayProcess, ServingProcess
from tests.running import eventually
from tests.servers import Postgres, Valkey, free_port

pytestmark = pytest.mark.slow

on_postgres = pytest.mark.parametrize("backend", ["postgres"], indirect=True)


def workers_of(process: GatewayProcess) -> set[int]:
    """The server processes; Python's resource tracker is none."""
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.process.pid).children()
        return {child.pid for child in children if "spawn_main" in " ".join(child.cmdline())}
    return set()


async def ready(process: ServingProcess) -> bool:
    async with httpx.AsyncClient(verify=False, timeout=5) as http:
        with contextlib.suppress(httpx.HTTPError):
            return (await http.get(f"{process.url}/readyz")).status_code == 200
    return False


async def test_a_worker_that_dies_while_the_database_is_away_comes_back(
    tmp_path: Path, spawned: list[GatewayProcess]
) -> None:
    """In 1.0 the new worker failed to start, the supervisor ended the healthy one too, and all ended with status 0."""
    with Postgres() as postgres, Valkey() as valkey:
        await asyncio.to_thread(migrations.upgrade, postgres.url())
        environment = {
            "DATABASE_URL": postgres.url(),
            "REDIS_URL": valkey.url,
            "N8N_WEBHOOK_URL": "http://127.0.0.1:1/",
        }
        process = ServingProcess("--workers", "2", folder=tmp_path, environment=environment)
        spawned.append(process)
        await asyncio.to_thread(process.wait_until_ready)
        before = await eventually(lambda: asyncio.sleep(0, len(workers_of(process)) == 2 and workers_of(process)))
        dying, staying = sorted(before)

        async def both_have_begun() -> bool:
            return await asyncio.to_thread(postgres.execute, "SELECT count(*) FROM ai_gateway_processes") == "2"

        await eventually(both_have_begun)
        await asyncio.to_thread(postgres.kill)
        os.kill(dying, signal.SIGKILL)
        await asyncio.to_thread(process.wait_for, "waiting_for_database")
        assert staying in workers_of(process), "the other one goes on"
        assert process.process.poll() is None
        await asyncio.to_thread(postgres.start)

        async def both_serve() -> bool:
            return len(workers_of(process)) == 2 and await ready(process)

        await eventually(both_serve, 60)
        assert staying in workers_of(process)
        assert await asyncio.to_thread(process.terminate) == 0


async def test_workers_that_wait_for_the_database_can_be_stopped(tmp_path: Path, spawned: list[GatewayProcess]) -> None:
    with Postgres() as postgres, Valkey() as valkey:
        await asyncio.to_thread(migrations.upgrade, postgres.url())
        environment = {"DATABASE_URL": postgres.url(), "REDIS_URL": valkey.url, "DRAIN_SECONDS": "0"}
        environment["N8N_WEBHOOK_URL"] = "http://127.0.0.1:1/"
        process = ServingProcess("--workers", "2", folder=tmp_path, environment=environment)
        spawned.append(process)
        await asyncio.to_thread(process.wait_until_ready)
        await asyncio.to_thread(postgres.kill)
        for pid in workers_of(process):
            os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait_for, "(?s)waiting_for_database.*waiting_for_database")
        assert await asyncio.to_thread(process.terminate) == 0


@on_postgres
async def test_a_worker_that_was_asked_to_stop_by_name_is_replaced(serve: Serve) -> None:
    process = await asyncio.to_thread(lambda: serve("--workers", "2", DRAIN_SECONDS="0"))
    before = await eventually(lambda: asyncio.sleep(0, len(workers_of(process)) == 2 and workers_of(process)))
    os.kill(min(before), signal.SIGTERM)

    async def replaced() -> bool:
        now = workers_of(process)
        return len(now) == 2 and min(before) not in now

    await eventually(replaced, 30)
    assert "worker_died" not in process.output(), "it ended in good order"


@on_postgres
async def test_workers_whose_supervisor_was_killed_stop_too(serve: Serve) -> None:
    process = await asyncio.to_thread(lambda: serve("--workers", "2", DRAIN_SECONDS="0"))
    workers = [psutil.Process(pid) for pid in workers_of(process)]
    process.kill()

    async def gone() -> bool:
        return not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)

    await eventually(gone, 30)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", process.port))


@on_postgres
async def test_the_folders_of_killed_processes_are_removed_at_the_next_start(serve: Serve, tmp_path: Path) -> None:
    shared = tmp_path / "metrics"
    first = await asyncio.to_thread(lambda: serve("--workers", "2", PROMETHEUS_MULTIPROC_DIR=str(shared)))
    workers = [psutil.Process(pid) for pid in workers_of(first)]
    first.process.kill()
    for worker in workers:
        worker.kill()
    first.process.wait()
    (left,) = shared.glob("gateway-metrics-*/")
    second = await asyncio.to_thread(lambda: serve("--workers", "2", PROMETHEUS_MULTIPROC_DIR=str(shared)))
    (own,) = shared.glob("gateway-metrics-*/")
    assert own != left
    await asyncio.to_thread(lambda: serve("--workers", "2", PROMETHEUS_MULTIPROC_DIR=str(shared)))
    assert own.is_dir(), "one that lives keeps its own"
    assert await asyncio.to_thread(second.terminate) == 0
    assert not own.exists()


@on_postgres
async def test_nowhere_to_count_is_a_sentence(
    tmp_path: Path, environment: dict[str, str], spawned: list[GatewayProcess]
) -> None:
    """A read-only file system has no place for temporary files either; a file where the folder should be is as bad."""
    (tmp_path / "file").touch()
    environment |= {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "file" / "folder")}
    process = GatewayProcess("serve", "--port", "0", "--workers", "2", folder=tmp_path, environment=environment)
    spawned.append(process)
    assert await asyncio.to_thread(process.wait) == 1
    assert "set TMPDIR" in process.output()
    assert "Traceback" not in process.output()


@on_postgres
async def test_if_no_worker_can_ever_serve_the_status_says_so(
    tmp_path: Path, environment: dict[str, str], spawned: list[GatewayProcess]
) -> None:
    """An application that cannot be made: trying again for ever would look like a service that starts."""
    code = (
        "import socket, sys\n"
        "from gateway.settings import Settings\n"
        "from gateway.server.listener import bind\n"
        "from gateway.server.supervisor import serve_in_processes\n"
        "if __name__ == '__main__':\n"
        f"    serve_in_processes(Settings.load(), bind('127.0.0.1', {free_port()}), 2, factory='nowhere:app')\n"
    )
    (tmp_path / "hopeless.py").write_text(code)
    process = GatewayProcess(
        folder=tmp_path,
        environment={**environment, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"},
        module="hopeless",
    )
    spawned.append(process)
    assert await asyncio.to_thread(process.wait) == 1
    assert "no_worker_can_serve" in process.output()
