"""`/healthz` and `/readyz`: whether the process lives, and whether it should be sent traffic."""

import asyncio
import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.responses import json_response
from gateway.state import Gateway, gateway_of
from storage import reads
from storage.errors import DatabaseUnavailable

CHECK_SECONDS = 3.0
"""Longest wait for the database's answer."""

FRESH_SECONDS = 1.0
"""How long an answer of the database is good for: probes must not become load."""


async def healthz(request: Request) -> Response:
    """The process answers."""
    return json_response({"status": "ok"})


class Readiness:
    """What `/readyz` knows, remembered for a moment."""

    def __init__(self) -> None:
        self._checked_at = 0.0
        self._database = False

    async def readyz(self, request: Request) -> Response:
        """200 when everything that a client needs is there, else 503; `checks` says what is not."""
        gateway = gateway_of(request)
        checks = {
            "database": await self._database_answers(gateway),
            "bus": gateway.bus.healthy,
            "accepting": not gateway.draining,
        }
        ready = all(checks.values())
        return json_response({"status": "ready" if ready else "not ready", "checks": checks}, 200 if ready else 503)

    async def _database_answers(self, gateway: Gateway) -> bool:
        if time.monotonic() - self._checked_at < FRESH_SECONDS:
            return self._database
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await reads.now(gateway.database)
            self._database = True
        except (DatabaseUnavailable, TimeoutError):
            self._database = False
        self._checked_at = time.monotonic()
        return self._database


def routes() -> list[Route]:
    """Routes of one application, with a memory of their own."""
    return [Route("/healthz", healthz, methods=["GET"]), Route("/readyz", Readiness().readyz, methods=["GET"])]
