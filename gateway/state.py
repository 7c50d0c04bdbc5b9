"""What an endpoint finds in its connection's state: the parts of the running process, by name.

For endpoints only. Whatever runs beside them (dispatcher, sweeper, alerting) names the parts that it uses.
"""

import asyncio
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from gateway.alerting.gauges import HttpConnections
from gateway.auth.callback_secrets import CallbackSecrets
from gateway.auth.tokens import Authenticator
from gateway.drain import Drain
from gateway.realtime.announcer import Announcer
from gateway.realtime.bus import Bus
from gateway.realtime.connection_limits import ConnectionLimits
from gateway.realtime.hub import Hub
from gateway.realtime.request_reader import RequestReader
from gateway.realtime.subscriptions import Subscriptions
from gateway.settings import Settings
from gateway.signed_urls import SignedUrls
from gateway.telemetry.incidents import Incidents
from storage.database.base import Database
from storage.public_urls import PublicUrls


@dataclass(slots=True)
class State:
    """The parts of one process."""

    process: str
    """Tells this process apart from all others."""
    settings: Settings
    database: Database
    bus: Bus
    hub: Hub
    announcer: Announcer
    reader: RequestReader
    subscriptions: Subscriptions
    limits: ConnectionLimits
    http_connections: HttpConnections
    drain: Drain
    dispatch_due: asyncio.Event
    """Set when something is to be sent to n8n: this process's dispatcher, where there is one, does not wait."""
    urls: PublicUrls
    signed_urls: SignedUrls
    incidents: Incidents
    authenticator: Authenticator
    callback_secrets: CallbackSecrets


def state_of(connection: HTTPConnection) -> State:
    """The state of the process that serves this request or WebSocket."""
    state: State = connection.scope["state"]["gateway"]
    return state
