"""The gateway and its peers: how each is started, and what its clients say."""

from collections.abc import Callable, Mapping

from tests.benchmarks.engine.peers import brokers, gateway, libraries
from tests.benchmarks.engine.peers.peer import Place, Serving

Start = Callable[[Place], Serving]

LABELS: Mapping[str, str] = {
    "gateway": "gateway",
    "supabase": "gateway, Supabase's protocol",
    "nchan": "nchan (C)",
    "node-ws": "Node ws + ioredis, by hand",
    "nats": "NATS (Go)",
    "socketio": "Socket.IO + Redis",
    "python-socketio": "python-socketio + Redis",
    "fastify": "Fastify + pg",
    "floor": "floor: a bare write loop",
}
"""All peers by name, in the order of the table."""

REALTIME: Mapping[str, Start] = {
    "gateway": gateway.websocket,
    "supabase": gateway.supabase,
    "nchan": brokers.nchan,
    "node-ws": libraries.node_ws,
    "nats": brokers.nats,
    "socketio": libraries.socketio,
    "python-socketio": libraries.python_socketio,
}
"""Who delivers messages to WebSockets."""

EVENTS: Mapping[str, Start] = {"gateway": gateway.events, "nchan": brokers.nchan_events}
"""Who delivers them as Server-Sent Events."""

HTTP: Mapping[str, Start] = {"gateway": gateway.http, "fastify": libraries.fastify}
"""Who answers polls, submissions and callbacks, with the same work behind them."""

__all__ = ["EVENTS", "HTTP", "LABELS", "REALTIME", "Place", "Serving", "Start", "brokers", "gateway", "libraries"]
