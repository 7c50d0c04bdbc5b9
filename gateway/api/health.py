"""`/healthz` and `/readyz`: whether the process lives, and whether it should be sent traffic."""

import asyncio

from async_lru import alru_cache
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.documents.operations import operation
from gateway.api.documents.schemas import TEXT, Schema, content
from gateway.api.responses import json_response
from gateway.state import state_of
from storage import reads
from storage.database.base import Database
from storage.errors import DatabaseUnavailable

CHECK_SECONDS = 3.0
"""Longest wait for the database's answer."""

FRESH_SECONDS = 1.0
"""How long an answer of the database is good for: probes must not become load."""


_PROBE: Schema = {"type": "object", "properties": {"status": TEXT}, "required": ["status"]}


@operation("Liveness", responses={"200": content(_PROBE, "The process answers.")})
async def healthz(request: Request) -> Response:
    """The process answers."""
    return json_response({"status": "ok"})


class Readiness:
    """What `/readyz` knows, remembered for a moment."""

    def __init__(self) -> None:
        self._database_answers = alru_cache(maxsize=1, ttl=FRESH_SECONDS)(_database_answers)

    @operation(
        "Readiness",
        responses={"200": content(_PROBE, "Ready."), "503": content(_PROBE, "`checks` says what is not.")},
    )
    async def readyz(self, request: Request) -> Response:
        """200 when everything that a client needs is there, else 503; `checks` says what is not."""
        state = state_of(request)
        checks = {
            "database": await self._database_answers(state.database),
            "bus": state.bus.healthy,
            "accepting": not state.drain.begun,
        }
        ready = all(checks.values())
        return json_response({"status": "ready" if ready else "not ready", "checks": checks}, 200 if ready else 503)


async def _database_answers(database: Database) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await reads.now(database)
    except (DatabaseUnavailable, TimeoutError):
        return False
    return True


def routes() -> list[Route]:
    """Routes of one application, with a memory of their own."""
    return [Route("/healthz", healthz, methods=["GET"]), Route("/readyz", Readiness().readyz, methods=["GET"])]
