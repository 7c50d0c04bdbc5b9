"""The demo: the whole job on one machine, with honest stand-ins for what is elsewhere in production.

The gateway inside is the real one, wired as in production; only n8n and the object store are replaced, and both are
reached over real HTTP. It listens on the loopback address alone. What it knows is in one folder (database, secrets,
pictures, the stand-in's executions), so a demo that is started again goes on where it was.
"""

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path

from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.app import create_app
from gateway.demo.kept_secrets import kept_secrets
from gateway.demo.n8n import StandInN8n
from gateway.demo.object_store import ObjectStore
from gateway.demo.session import DemoSession, seed
from gateway.demo.settings import demo_settings
from gateway.settings import Settings
from storage import migrations

FOLDER = Path(".gateway-demo")
"""Where the demo keeps everything, in the current folder."""


def demo_app(settings: Settings, folder: Path) -> ASGIApp:
    """The gateway's application with the stand-ins inside.

    Args:
        settings: those of the demo.
        folder: for the pictures, and for what the stand-in for n8n works on.
    """
    session, store = DemoSession(settings), ObjectStore(folder / "objects")
    n8n = StandInN8n(settings, store, folder / "executions")
    gateway = create_app(settings, extra_routes=[*session.routes, *store.routes, *n8n.routes])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with n8n.running() if scope["type"] == "lifespan" else contextlib.nullcontext():
            await gateway(scope, receive, send)

    # A page elsewhere could point its own name at 127.0.0.1 and read the session (DNS rebinding).
    return TrustedHostMiddleware(app, allowed_hosts=["127.0.0.1", "localhost"])


@dataclass(frozen=True)
class Demo:
    """A demo that is ready to be served."""

    url: str
    settings: Settings
    app: ASGIApp


def prepare(listener: socket.socket) -> Demo:
    """Make or find the demo of this folder, to be served on `listener`.

    Raises:
        SettingsError: the environment holds settings that cannot be used.
        DatabaseBusy: a demo already runs in this folder.
        OSError: the folder cannot be written.
    """
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = demo_settings(
        url,
        database_url=f"sqlite:///{FOLDER / 'gateway.sqlite3'}",
        redis_url=None,
        **kept_secrets(FOLDER / "secrets.json"),
    )
    migrations.upgrade(settings.database_url.get_secret_value())
    seed(settings)
    return Demo(url, settings, demo_app(settings, FOLDER))
