"""The heartbeat: what a process writes every few seconds. It lives, and what it has counted in memory since."""

import asyncio
import os

import structlog

from gateway.alerting.gauges import HttpConnections, refresh_gauges
from gateway.drain import Drain
from gateway.realtime.bus import Bus
from gateway.realtime.connection_limits import ConnectionLimits
from gateway.realtime.hub import Hub
from gateway.telemetry.incidents import Incidents
from gateway.telemetry.logging import reason_of
from gateway.telemetry.tally import flush_tallies
from storage import alerts
from storage.database.base import Database
from storage.errors import DatabaseUnavailable

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 5.0

INCIDENT_RESOLVE_SECONDS = 300.0
"""Incidents of one kind are one alert while no more than this lies between them."""


class Heartbeat:
    """One process's signs of life.

    Args:
        process: the name that tells this process apart from all others.
        database: where the process, its incidents and its receipts are written.
        bus: whose health is shown.
        hub: whose subscribers are counted, and whose receipts are written.
        limits: which count the realtime connections.
        http: which counts the HTTP connections.
        drain: which says whether the process is stopping.
        incidents: what went wrong since the last beat.
    """

    def __init__(
        self,
        process: str,
        database: Database,
        bus: Bus,
        hub: Hub,
        limits: ConnectionLimits,
        http: HttpConnections,
        drain: Drain,
        incidents: Incidents,
    ) -> None:
        self._process = process
        self._database = database
        self._bus = bus
        self._hub = hub
        self._limits = limits
        self._http = http
        self._drain = drain
        self._incidents = incidents

    async def run(self) -> None:
        """Beat until cancelled."""
        forgotten = False
        while True:
            try:
                if not forgotten:
                    await self._forget_the_killed()
                    forgotten = True
                await self.beat()
            except DatabaseUnavailable as error:
                log.warning("heartbeat_failed", reason=reason_of(error))
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _forget_the_killed(self) -> None:
        """Sign off for those that were killed and could not: one that takes another's place is not two."""
        await alerts.process_gone(self._database, self._process)
        for name in await alerts.process_names(self._database):
            if _has_died_here(name, self._process):
                await alerts.process_gone(self._database, name)

    async def beat(self) -> None:
        """Bring the process's metrics up to date, and write that it lives and what it has counted.

        Raises:
            DatabaseUnavailable: what was not written is kept for the next beat.
        """
        refresh_gauges(self._bus, self._hub, self._limits, self._http, self._drain)
        flush_tallies()
        await alerts.process_seen(
            self._database, self._process, connections=self._limits.open, bus_healthy=self._bus.healthy
        )
        await self._flush()

    async def stop(self) -> None:
        """Write what was counted since the last beat, and that the process is gone."""
        flush_tallies()
        try:
            await self._flush()
            await alerts.process_gone(self._database, self._process)
        except DatabaseUnavailable as error:
            log.warning("process_deregister_failed", reason=reason_of(error))

    async def _flush(self) -> None:
        await self._flush_incidents()
        await self._hub.receipts.flush(self._database, self._process)

    async def _flush_incidents(self) -> None:
        drained = self._incidents.drain()
        if not drained:
            return
        try:
            await alerts.add_incidents(
                self._database,
                {str(incident): (incident.sentence, count) for incident, count in drained.items()},
                resolve_seconds=INCIDENT_RESOLVE_SECONDS,
            )
        except DatabaseUnavailable:
            self._incidents.restore(drained)
            raise


def _has_died_here(name: str, own: str) -> bool:
    """Whether `name` (host, process id and a word of its own, as `own`) was a process of this machine.

    A host's name may be shared by containers, which see each other's processes not: then a living one is forgotten, and
    its next beat, within seconds, brings it back.
    """
    host, _, number = name.rpartition(":")[0].rpartition(":")
    own_host, _, own_number = own.rpartition(":")[0].rpartition(":")
    if name == own or host != own_host or not number.isdecimal():
        return False
    return number == own_number or not _lives(int(number))


def _lives(process_id: int) -> bool:
    if os.name != "posix":
        return True  # to ask there would be to end it
    try:
        os.kill(process_id, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
