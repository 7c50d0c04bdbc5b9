"""`gateway demo --stack`: the production shape on this machine. A real PostgreSQL, a real Valkey, two server processes
that share the port, and the demo's stand-ins for n8n and for the object store inside them.
"""

import os
import secrets
import socket
import tempfile
from pathlib import Path

import click
from starlette.types import ASGIApp

from gateway.demo import demo_app
from gateway.demo.object_store import ObjectStore
from gateway.demo.servers import Postgres, Valkey
from gateway.demo.session import seed
from gateway.server.processes import serve_in_processes
from gateway.settings import Settings
from gateway.telemetry.logging import configure_logging
from storage import migrations

WORKERS = 2

_OBJECTS = "GATEWAY_DEMO_OBJECTS"
"""Tells the server processes where the pictures are."""


def run_stack(listener: socket.socket) -> None:
    """Serve the stack on `listener` until Ctrl-C. Nothing of it is left afterwards.

    Raises:
        NotInstalled: the servers' wheels are missing.
        SettingsError: the environment holds settings that cannot be used.
    """
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with Postgres() as postgres, Valkey() as valkey, tempfile.TemporaryDirectory(prefix="gateway-objects-") as objects:
        # The server processes read their settings from the environment, as in production.
        os.environ |= {
            "ENVIRONMENT": "development",
            "APP_URL": url,
            "ALLOWED_ORIGINS": url.replace("127.0.0.1", "localhost"),
            "DATABASE_URL": postgres.url(),
            "REDIS_URL": valkey.url,
            "SUPABASE_URL": url,
            "N8N_WEBHOOK_URL": f"{url}/demo/n8n/webhook/ai-image",
            "N8N_WEBHOOK_SECRET": secrets.token_urlsafe(32),
            "AI_CALLBACK_SECRET": secrets.token_urlsafe(32),
            "SUPABASE_JWT_SECRET": secrets.token_urlsafe(32),
            "AI_GENERATION_RATE_LIMIT_PER_HOUR": "1000",
            _OBJECTS: objects,
        }
        settings = Settings.load()
        configure_logging(production=False)
        migrations.upgrade(settings.database_url.get_secret_value())
        seed(settings)
        click.echo(f"\n  The gateway's stack runs at {url}  (Ctrl-C stops it)")
        click.echo(f"  Its dashboard: {url}/admin\n")
        click.echo(f"  PostgreSQL: {postgres.url()}\n  Valkey:     {valkey.url}\n")
        serve_in_processes(settings, listener, WORKERS, factory="gateway.demo.stack:app")


def app() -> ASGIApp:
    """The application of one of the stack's server processes."""
    settings = Settings.load()
    configure_logging(production=False)
    return demo_app(settings, ObjectStore(Path(os.environ[_OBJECTS])))
