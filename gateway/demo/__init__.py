"""The demo: the whole job on one machine, with honest stand-ins for what is elsewhere in production.

The gateway inside is the real one, wired as in production; only n8n and the object store are replaced, and both are
reached over real HTTP. It listens on the loopback address alone and refuses ENVIRONMENT=production.
"""

import secrets
import socket
from pathlib import Path

import click
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

from gateway.app import create_app
from gateway.demo.n8n import StandInN8n
from gateway.demo.object_store import ObjectStore
from gateway.demo.session import DemoSession, seed
from gateway.server.processes import serve
from gateway.settings import Settings
from gateway.telemetry.logging import configure_logging
from storage import migrations

FOLDER = Path(".gateway-demo")
"""Where the demo keeps its database and its pictures, in the current folder."""


def demo_app(settings: Settings, store: ObjectStore) -> ASGIApp:
    """The gateway's application with the stand-ins inside."""
    session = DemoSession(settings)
    app = create_app(
        settings,
        extra_routes=[*session.routes, *store.routes, *StandInN8n(settings, store).routes],
    )
    # A page elsewhere could point its own name at 127.0.0.1 and read the session (DNS rebinding).
    return TrustedHostMiddleware(app, allowed_hosts=["127.0.0.1", "localhost"])


def run_demo(listener: socket.socket) -> None:
    """Serve the demo on `listener` until Ctrl-C.

    Raises:
        SettingsError: the environment holds settings that cannot be used.
    """
    port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    settings = Settings.load(
        {
            "environment": "development",
            "app_url": url,
            "allowed_origins": f"http://localhost:{port}",
            "database_url": f"sqlite:///{FOLDER / 'gateway.sqlite3'}",
            "redis_url": None,
            "supabase_url": url,
            "n8n_webhook_url": f"{url}/demo/n8n/webhook/ai-image",
            # New ones at every start: a demo's secrets should open nothing else.
            "n8n_webhook_secret": secrets.token_urlsafe(32),
            "ai_callback_secret": secrets.token_urlsafe(32),
            "supabase_jwt_secret": secrets.token_urlsafe(32),
            "ai_generation_rate_limit_per_hour": 1000,
        }
    )
    configure_logging(production=False)
    migrations.upgrade(settings.database_url.get_secret_value())
    app = demo_app(settings, ObjectStore(FOLDER / "objects"))
    seed(settings)
    click.echo(f"\n  The gateway's demo runs at {url}  (Ctrl-C stops it)")
    click.echo(f"  Its dashboard: {url}/admin\n")
    click.echo(f'  In another terminal: gateway generate "Running Shoes" "Nike" -o out.png --url {url}\n')
    serve(app, settings, listener)
