"""`gateway demo --stack`: the production shape on this machine. A real PostgreSQL, a real Valkey, two server processes
that share the port, and the demo's stand-ins for n8n and for the object store inside them.
"""

import contextlib
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from gateway.demo import demo_app
from gateway.demo.kept_secrets import NAMES
from gateway.demo.log import log_as_demo
from gateway.demo.servers import Postgres, Valkey
from gateway.demo.session import seed
from gateway.demo.settings import DEFAULTS, demo_settings
from gateway.server.supervisor import serve_in_processes
from gateway.settings import Settings
from storage import migrations

WORKERS = 2

_FOLDER = "GATEWAY_DEMO_FOLDER"
"""Tells the server processes where the pictures and the executions are."""


@dataclass(frozen=True)
class Stack:
    """Servers that run, and a gateway that is ready to be served."""

    url: str
    database_url: str
    redis_url: str
    settings: Settings
    listener: socket.socket

    def serve(self) -> None:
        """Serve until a signal says to stop."""
        serve_in_processes(self.settings, self.listener, WORKERS, factory="gateway.demo.stack:app")


@contextlib.contextmanager
def running_stack(listener: socket.socket) -> Iterator[Stack]:
    """Run the servers for the length of the block. Nothing of them is left afterwards.

    Raises:
        NotInstalled: the servers' wheels are missing.
        SettingsError: the environment holds settings that cannot be used.
    """
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with Postgres() as postgres, Valkey() as valkey, tempfile.TemporaryDirectory(prefix="gateway-demo-") as folder:
        fixed = {name: secrets.token_urlsafe(32) for name in NAMES}
        settings = demo_settings(url, database_url=postgres.url(), redis_url=valkey.url, **fixed)
        # The server processes read their settings from the environment, as in production.
        os.environ |= {
            "ENVIRONMENT": "development",
            "APP_URL": url,
            "ALLOWED_ORIGINS": ",".join(settings.allowed_origins),
            "DATABASE_URL": postgres.url(),
            "REDIS_URL": valkey.url,
            "SUPABASE_URL": url,
            "N8N_WEBHOOK_URL": settings.n8n_webhook_url,
            **{name.upper(): str(getattr(settings, name)) for name in DEFAULTS},
            **dict.fromkeys(("N8N_API_URL", "N8N_API_KEY", "N8N_EDITOR_URL"), ""),
            **dict.fromkeys(("STORAGE_BUCKETS", "STORAGE_PRIVATE_BUCKETS"), ""),
            **{name.upper(): value for name, value in fixed.items()},
            "STORAGE_THUMBNAILS": "true",
            _FOLDER: folder,
        }
        migrations.upgrade(postgres.url())
        seed(settings)
        yield Stack(url, postgres.url(), valkey.url, settings, listener)


def app() -> ASGIApp:
    """The application of one of the stack's server processes."""
    log_as_demo()
    return demo_app(Settings.load(), Path(os.environ[_FOLDER]))
