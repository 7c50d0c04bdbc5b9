"""Tasks that run for as long as the process does, and how they end."""

import asyncio
import contextlib

import pytest

from gateway import tasks
from gateway.tasks import keep_running, stop_all


async def test_a_cancellation_that_a_library_swallows_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """As redis-py does while it connects."""
    monkeypatch.setattr(tasks, "CANCEL_AGAIN_SECONDS", 0.01)
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
            swallowed += 1
            if swallowed == 3:
                raise asyncio.CancelledError

    task = keep_running(stubborn, "stubborn")
    await asyncio.sleep(0)
    await stop_all(task)
    assert (task.cancelled(), swallowed) == (True, 3)


async def test_what_fails_begins_anew(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(tasks, "RESTART_SECONDS", 0.0)
    rounds = 0

    async def failing() -> None:
        nonlocal rounds
        rounds += 1
        if rounds < 3:
            raise ZeroDivisionError

    await keep_running(failing, "failing")
    assert rounds == 3
    assert caplog.text.count("background_task_failed") == 2
