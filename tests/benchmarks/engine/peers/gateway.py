"""The gateway as it ships: `gateway serve`, real tokens, one row in PostgreSQL for each user."""

import dataclasses
import json
import sys

from tests.benchmarks.engine import messages
from tests.benchmarks.engine.bus_messages import publish_update
from tests.benchmarks.engine.load_client import Client, Publisher
from tests.benchmarks.engine.peers.peer import Place, Serving
from tests.benchmarks.engine.world import CALLBACK_SECRET

CALLBACK_CONNECTIONS = 32

SUBSCRIBE = b'{"type":"subscribe","ref":1,"scope":"mine"}'


def _serving(place: Place, client: Client) -> Serving:
    command = [sys.executable, "-m", "gateway", "serve", "--port", str(place.port), "--no-worker"]
    if place.processes > 1:
        command += ["--workers", str(place.processes)]
    return Serving(command=command, environment=place.world.settings(place.redis_port), client=client)


def websocket(place: Place) -> Serving:
    """Clients of `/ws` that subscribe to all that is theirs; updates come over the bus."""
    client = Client(
        path="/ws",
        headers=place.world.tokens,
        steps=(b'"welcome"', ("text", SUBSCRIBE), b'"subscribed"'),
        publisher=Publisher("tcp", place.redis_port, publish_update(place.world.identity())),
    )
    return _serving(place, client)


def supabase(place: Place) -> Serving:
    """The same over Supabase Realtime's protocol: one channel with all that is theirs."""
    binding = {"event": "*", "schema": "public", "table": "ai_image_requests"}
    join = ["1", "1", "realtime:mine", "phx_join", {"config": {"postgres_changes": [binding]}}]
    client = Client(
        path="/realtime/v1/websocket?vsn=2.0.0",
        headers=place.world.tokens,
        steps=(("text", json.dumps(join).encode()), b"Subscribed to PostgreSQL"),
        publisher=Publisher("tcp", place.redis_port, publish_update(place.world.identity())),
    )
    return _serving(place, client)


def http(place: Place) -> Serving:
    """Without connections that stay."""
    return dataclasses.replace(websocket(place), client=None)


def events(place: Place) -> Serving:
    """Clients that stream one request's updates."""
    client = Client(
        path=f"/api/ai-status/{messages.REQUEST}/events",
        headers=place.world.tokens,
        steps=(b"event: update",),
        events=True,
        publisher=Publisher("tcp", place.redis_port, publish_update(place.world.identity())),
    )
    return _serving(place, client)


def chain(place: Place) -> Serving:
    """Clients as in `websocket`, whose updates come from n8n's callbacks, through PostgreSQL and the bus."""
    report = {"requestId": messages.REQUEST, "status": "processing", "progress": "#"}
    content = json.dumps(report, separators=(",", ":")).replace('"#"', messages.PROGRESS).encode()
    request = messages.http_post("/api/ai-callback", content, f"X-Callback-Secret: {CALLBACK_SECRET}")
    serving = websocket(place)
    assert serving.client is not None
    client = dataclasses.replace(
        serving.client,
        publisher=Publisher("http", place.port, request, CALLBACK_CONNECTIONS),
        by_progress=True,
        spins=False,  # PostgreSQL works on the same core
    )
    return dataclasses.replace(serving, client=client)
