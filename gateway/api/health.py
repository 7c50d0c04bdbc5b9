"""`/healthz` and `/readyz`: whether the process lives, and whether it should be sent traffic.

Ready means that the process can serve. Without the bus it can: clients are served from the database, every few seconds
instead of at once. That is told (body, header, `gateway_bus_healthy`, alert); a balancer that took out every process,
because all share one Redis, would make an outage of it. Without a database that takes writes it cannot.
"""

import asyncio

import structlog
from async_lru import alru_cache
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.documents.operations import operation
from gateway.api.documents.schemas import FLAG, TEXT, Schema, content, object_of
from gateway.api.responses import json_response
from gateway.realtime.bus import Bus
from gateway.realtime.connection_limits import ConnectionLimits
from gateway.state import state_of
from gateway.telemetry.logging import reason_of
from storage import alerts
from storage.database.base import Database

log = structlog.get_logger(__name__)

PROBE_SECONDS = 3.0
"""Longest wait for the database."""

FRESH_SECONDS = 1.0
"""How long a try is good for: probes must not become load."""

_LIVE = b'{"status":"ok"}'
_CHECKS = object_of(database=FLAG, bus=FLAG, accepting=FLAG)


def _readiness(*statuses: str) -> Schema:
    return object_of(status={"enum": [*statuses]}, checks=_CHECKS)


@operation("Liveness", responses={"200": content(object_of(status=TEXT), "The process answers.")})
async def healthz(request: Request) -> Response:
    """The process answers."""
    return json_response(_LIVE)


class Readiness:
    """What `/readyz` knows, remembered for a moment."""

    def __init__(self) -> None:
        self._database_takes_writes = alru_cache(maxsize=1, ttl=FRESH_SECONDS)(_database_takes_writes)

    @operation(
        "Readiness",
        responses={
            "200": content(_readiness("ready", "degraded"), "Can serve; `Gateway-Degraded` names what is away."),
            "503": content(_readiness("not ready"), "Cannot serve; `checks` says why."),
        },
    )
    async def readyz(self, request: Request) -> Response:
        """200 when the process can serve, else 503; `checks` says what is not well."""
        state = state_of(request)
        # A process that stops has signed off, and a write would bring it back.
        accepting = not state.drain.begun
        checks = {
            "database": accepting
            and await self._database_takes_writes(state.database, state.process, state.limits, state.bus),
            "bus": state.bus.healthy,
            "accepting": accepting,
        }
        if not (checks["database"] and accepting):
            return json_response({"status": "not ready", "checks": checks}, 503)
        if not checks["bus"]:
            return json_response({"status": "degraded", "checks": checks}, 200, {"Gateway-Degraded": "bus"})
        return json_response({"status": "ready", "checks": checks})


async def _database_takes_writes(database: Database, process: str, limits: ConnectionLimits, bus: Bus) -> bool:
    """Whether a commit goes through that needs room: reading would not notice a standby, a fenced server or a full
    disk."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await alerts.process_writes(database, process, connections=limits.open, bus_healthy=bus.healthy)
    except Exception as error:  # noqa: BLE001 - whatever it is, the probe has its answer
        log.warning("not_ready", reason=reason_of(error))
        return False
    return True


def routes() -> list[Route]:
    """Routes of one application, with a memory of their own."""
    return [Route("/healthz", healthz, methods=["GET"]), Route("/readyz", Readiness().readyz, methods=["GET"])]
