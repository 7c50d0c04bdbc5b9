"""python-socketio on uvicorn, each client in a room of its own. Runs in an environment with requirements.txt."""

import os
import sys
from typing import Any
from urllib.parse import parse_qs

import socketio  # type: ignore[import-not-found]
import uvicorn

manager = socketio.AsyncRedisManager(f"redis://127.0.0.1:{os.environ['REDIS_PORT']}")
server = socketio.AsyncServer(
    async_mode="asgi", client_manager=manager, transports=["websocket"], cors_allowed_origins="*"
)


async def connect(sid: str, environ: dict[str, Any], auth: object = None) -> None:
    """Join the room that the query names."""
    await server.enter_room(sid, parse_qs(environ["QUERY_STRING"])["c"][0])


server.on("connect", connect)

uvicorn.run(
    socketio.ASGIApp(server),
    host="127.0.0.1",
    port=int(sys.argv[1]),
    loop="uvloop",
    http="httptools",
    ws="websockets-sansio",
    ws_per_message_deflate=False,
    access_log=False,
    log_level="error",
    backlog=4096,
    timeout_graceful_shutdown=1,
)
