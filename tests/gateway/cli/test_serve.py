"""What the commands that serve do before they serve."""

import asyncio
import logging
import signal

import pytest

from gateway.cli.serve import _work
from gateway.settings import Settings
from tests.running import eventually
from tests.servers import free_port


async def test_a_worker_that_waits_for_its_database_can_be_stopped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    nowhere = f"postgresql://postgres@127.0.0.1:{free_port()}/away"
    settings = Settings.load({"database_url": nowhere, "redis_url": f"redis://127.0.0.1:{free_port()}"})
    working = asyncio.create_task(_work(settings))
    await eventually(lambda: asyncio.sleep(0, "waiting_for_database" in caplog.text))
    signal.raise_signal(signal.SIGTERM)
    await asyncio.wait_for(working, 30)
