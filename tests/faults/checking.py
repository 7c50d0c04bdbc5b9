"""One run of the checker: requests live, a fault strikes, all heals, and the record is judged."""

import asyncio
import time
from dataclasses import dataclass

from tests.faults.history import History, Truth, Violation, judge, seconds_until_whole
from tests.faults.nemesis import Fault
from tests.faults.stand import Stand, database
from tests.faults.watching import Client, clients_for
from tests.faults.writing import Writer

REQUESTS_PER_USER = 3

WITHIN_SECONDS = 20.0
"""In which every client must be whole after a fault: one reconcile of 15 seconds, and a reconnection."""

LIFE_SECONDS = 60.0
"""Longest wait for the requests to end; longer than the deadline on the stand."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run found: broken promises, and for each transport the seconds until its last client was whole."""

    violations: list[Violation]
    whole_after: dict[str, float]
    seen: int


async def check(stand: Stand, fault: Fault, *, within: float = WITHIN_SECONDS, quiet_seconds: float = 0.0) -> Result:
    """Let one fault strike while requests live, and judge."""
    history = History()
    writer = Writer(stand, history, quiet_seconds=quiet_seconds)
    requests: dict[str, list[str]] = {}
    for user in stand.users:
        submitted = [await writer.submit(user.id) for _ in range(REQUESTS_PER_USER)]
        requests[user.id] = [request_id for request_id in submitted if request_id is not None]
    clients = clients_for(stand, history, requests)
    tasks = [asyncio.create_task(client.run()) for client in clients]
    try:
        await asyncio.sleep(0.5)
        await fault(stand, clients)
        history.healed_at = time.monotonic()
        await _until_told(stand, history, clients, within)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return Result(judge(history, within=within), seconds_until_whole(history), len(history.seen))


async def _until_told(stand: Stand, history: History, clients: list[Client], within: float) -> None:
    """Wait until every request has ended, and then until every client has seen it or its time is over."""
    deadline = time.monotonic() + LIFE_SECONDS
    async with database(stand.postgres) as opened:
        while time.monotonic() < deadline:
            rows = await opened.all(
                "SELECT r.id, r.user_id, r.version, r.status, r.error_code, "
                "EXISTS (SELECT 1 FROM ai_request_events e WHERE e.request_id = r.id AND e.kind = 'sending') "
                "AS marked, "
                "(SELECT count(*) FROM assets a WHERE a.file_url LIKE '%' || CAST(r.id AS text) || '%') AS assets "
                "FROM ai_image_requests r WHERE r.id = ANY(:ids)",
                ids=list(history.accepted),
            )
            if all(row["status"] in ("completed", "failed") for row in rows):
                break
            await asyncio.sleep(0.1)
    ended_at = time.monotonic()
    # Whatever changed after the heal can only be seen after that change.
    history.healed_at = max(history.healed_at, ended_at)
    history.truth = {
        str(row["id"]): Truth(
            str(row["id"]),
            str(row["user_id"]),
            row["version"],
            row["status"],
            row["assets"],
            row["error_code"],
            row["marked"],
        )
        for row in rows
    }
    newest = {request_id: truth.version for request_id, truth in history.truth.items()}
    while time.monotonic() < ended_at + within:
        reached = {(seen.client, seen.request_id, seen.version) for seen in history.seen}
        if all(
            (client, request_id, newest.get(request_id, 0)) in reached
            for client, watched in history.watching.items()
            for request_id in watched
        ):
            return
        await asyncio.sleep(0.05)
