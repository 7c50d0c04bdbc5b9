"""Servers that a team would write with a library: the scripts beside this file."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec

from tests.benchmarks.engine import messages
from tests.benchmarks.engine.installation import node_peer, program, python_peers
from tests.benchmarks.engine.load_client import Client, Publisher
from tests.benchmarks.engine.peers.peer import Place, Serving
from tests.benchmarks.engine.world import CALLBACK_SECRET, JWT_SECRET

ENGINE_IO_PING = ("text", b"2", b"3")
"""Engine.IO's heartbeat is a message (protocol 4, packet types 2 and 3)."""


def _node(place: Place, script: str, client: Client | None, **environment: str) -> Serving:
    return Serving(
        command=[program("node", "nodejs"), node_peer(script), str(place.port)],
        environment={"REDIS_PORT": str(place.redis_port), **environment},
        client=client,
    )


def node_ws(place: Place) -> Serving:
    """`ws` and one ioredis subscriber, as one writes it by hand."""
    publish = messages.redis_publish(f"c:{messages.CHANNEL}", messages.payload())
    client = Client(
        path=f"/ws?c={messages.CHANNEL}", steps=(b"ready",), publisher=Publisher("tcp", place.redis_port, publish)
    )
    return _node(place, "ws_ioredis.js", client)


def _socketio_client(place: Place, channel: str, message: bytes, joined: bytes) -> Client:
    return Client(
        path=f"/socket.io/?EIO=4&transport=websocket&c={messages.CHANNEL}",
        steps=(b'0{"sid"', ("text", b"40"), joined),
        replies=(("text", *ENGINE_IO_PING[1:]),),
        publisher=Publisher("tcp", place.redis_port, messages.redis_publish(channel, message)),
    )


def _body_with_text_version() -> dict[str, Any]:
    """MessagePack writes numbers in binary, where no token can stand."""
    return {**messages.body(), "version": messages.VERSION}


def socketio(place: Place) -> Serving:
    """Socket.IO with its Redis adapter; published as @socket.io/redis-emitter does."""
    packet = {"type": 2, "data": ["update", _body_with_text_version()], "nsp": "/"}
    options: dict[str, Any] = {"rooms": [messages.CHANNEL], "except": [], "flags": {}}
    message = msgspec.msgpack.encode(["emitter", packet, options])
    client = _socketio_client(place, f"socket.io#/#{messages.CHANNEL}#", message, b'["ready"]')
    return _node(place, "socketio.js", client)


def python_socketio(place: Place) -> Serving:
    """python-socketio on uvicorn with its Redis manager; published as its write-only manager does."""
    command = {
        "method": "emit",
        "event": "update",
        "data": _body_with_text_version(),
        "binary": False,
        "namespace": "/",
        "room": messages.CHANNEL,
        "skip_sid": None,
        "callback": None,
        "host_id": "benchmark",
    }
    client = _socketio_client(place, "socketio", json.dumps(command, separators=(",", ":")).encode(), b'40{"sid"')
    script = Path(__file__).with_name("python_socketio_server.py")
    return Serving(
        command=[python_peers() / "python", script, str(place.port)],
        environment={"REDIS_PORT": str(place.redis_port)},
        client=client,
    )


def fastify(place: Place) -> Serving:
    """Fastify and pg with the gateway's rules: the same checks, the same rows, the same news on Redis."""
    return _node(
        place,
        "fastify.js",
        None,
        DATABASE_URL=place.world.postgres.url(),
        JWT_SECRET=JWT_SECRET,
        CALLBACK_SECRET=CALLBACK_SECRET,
        NODE_ENV=os.environ.get("NODE_ENV", "production"),
    )
