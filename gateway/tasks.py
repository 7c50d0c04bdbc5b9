"""Tasks that run for as long as the process does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

log = structlog.get_logger(__name__)

RESTART_SECONDS = 1.0

CANCEL_AGAIN_SECONDS = 1.0
"""How long a task may take to tidy up."""


def keep_running(run: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[None]:
    """A task that runs `run` until it returns or is cancelled. An unforeseen error is logged and `run` begins anew:
    a process that looks alive but has silently stopped dispatching would be worse than either."""

    async def forever() -> None:
        while True:
            try:
                await run()
            except Exception:
                log.exception("background_task_failed", task=name)
                await asyncio.sleep(RESTART_SECONDS)
            else:
                return

    return asyncio.create_task(forever(), name=name)


async def stop_all(*tasks: asyncio.Future[Any]) -> None:
    """Cancel the tasks and wait for their ends.

    A cancellation may get lost on its way (redis-py swallows one while it connects), so it is repeated.
    """
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=CANCEL_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)  # whatever they raised has been seen
