"""What the gateway and Fastify find: PostgreSQL with users and requests, Redis, real tokens."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import jwt

from storage.database.open import open_database
from storage.identity import identity_of
from tests.benchmarks.engine import installation, machine
from tests.benchmarks.engine.processes import Process, environment
from tests.servers import Postgres, free_port

ROOT = Path(__file__).parents[3]
JWT_SECRET = "benchmark-jwt-secret-0123456789-abcdefghijk"
CALLBACK_SECRET = "benchmark-callback-secret-0123456789-abcdef"
TOKEN_SECONDS = 6 * 3600
APP_URL = "http://127.0.0.1:8000"
ORGANIZATION = "22222222-2222-4222-8222-222222222222"

# Subscribers have one request each; the callbacks of the HTTP rows use up requests of their own, whose users nobody
# subscribes to (b in the fourth group of their ids).
SEED = """
TRUNCATE ai_request_events, assets, ai_image_requests, organization_members, organizations, auth.users CASCADE;
INSERT INTO organizations (id, name) VALUES ('{organization}', 'Acme');
INSERT INTO auth.users (id) SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid
FROM generate_series(0, {users} - 1) n;
INSERT INTO organization_members (organization_id, user_id) SELECT '{organization}', id FROM auth.users;
INSERT INTO ai_image_requests (id, user_id, organization_id, product, brand, status, created_at, updated_at)
SELECT ('00000000-0000-4000-9000-' || lpad(n::text, 12, '0'))::uuid,
    ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, '{organization}', 'Running Shoes', 'Nike',
    'processing', now() - interval '10 minutes', now() - interval '10 minutes'
FROM generate_series(0, {users} - 1) n;
INSERT INTO auth.users (id) SELECT ('00000000-0000-4000-b000-' || lpad(n::text, 12, '0'))::uuid
FROM generate_series(0, 999) n;
INSERT INTO ai_image_requests (id, user_id, organization_id, product, brand, status, created_at, updated_at)
SELECT ('00000000-0000-4000-b000-' || lpad(n::text, 12, '0'))::uuid,
    ('00000000-0000-4000-b000-' || lpad((n % 1000)::text, 12, '0'))::uuid, '{organization}', 'Running Shoes', 'Nike',
    'processing', now() - interval '10 minutes', now() - interval '10 minutes'
FROM generate_series(0, {reported} - 1) n;
"""


@dataclass(slots=True)
class World:
    """A migrated and seeded database.

    Args:
        users: how many have a request and a token.
        reported: how many requests there are for callbacks.
        folder: for what the servers and the load client read.
    """

    users: int
    reported: int
    folder: Path
    postgres: Postgres

    @property
    def tokens(self) -> Path:
        """A file with an `Authorization` header for each user."""
        return self.folder / "tokens"

    def fresh(self) -> None:
        """Bring the rows back to how they were at first."""
        self.postgres.execute(SEED.format(organization=ORGANIZATION, users=self.users, reported=self.reported))
        self.postgres.execute("VACUUM ANALYZE")
        self.postgres.execute("CHECKPOINT")  # or it comes in the middle of a measurement

    def events(self) -> int:
        """How many changes have been written."""
        return int(self.postgres.execute("SELECT count(*) FROM ai_request_events"))

    def identity(self) -> str:
        """What the bus's channels carry of this database."""

        async def ask() -> str:
            async with open_database(self.postgres.url()) as database:
                return await identity_of(database, APP_URL)

        return asyncio.run(ask())

    def pids(self) -> list[int]:
        """PostgreSQL's processes."""
        assert self.postgres.process is not None
        return machine.family([self.postgres.process.pid])

    def settings(self, redis_port: int) -> dict[str, str]:
        """The gateway's environment: its limits out of the way, its safeguards as they are."""
        return {
            "DATABASE_URL": self.postgres.url(),
            "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
            "SUPABASE_JWT_SECRET": JWT_SECRET,
            "AI_CALLBACK_SECRET": CALLBACK_SECRET,
            "N8N_WEBHOOK_SECRET": "benchmark-webhook-secret-0123456789-abcdefg",
            "ALLOWED_ORIGINS": "http://127.0.0.1",
            "WS_CONNECTIONS": "40000",
            "WS_CONNECTIONS_PER_ADDRESS": "40000",
            "WS_CONNECTIONS_PER_USER": "40000",
            "AI_GENERATION_RATE_LIMIT_PER_HOUR": "1000000",
            "DRAIN_SECONDS": "0",
            "APP_URL": APP_URL,
            "PYTHONPATH": str(ROOT),
        }


def _write_tokens(file: Path, users: int) -> None:
    now = int(time.time())
    with file.open("w") as lines:
        for number in range(users):
            claims = {
                "sub": f"00000000-0000-4000-8000-{number:012}",
                "aud": "authenticated",
                "role": "authenticated",
                "iat": now,
                "exp": now + TOKEN_SECONDS,
                "email": "someone@example.com",
                "session_id": f"6f0ff6a2-9d1c-4c43-9b0f-{number:012}",
            }
            lines.write(f"Authorization: Bearer {jwt.encode(claims, JWT_SECRET, 'HS256')}\n")


def _migrate(settings: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "gateway", "migrate"]
    done = subprocess.run(command, env=environment(settings), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"gateway migrate failed: {done.stderr}")


@contextlib.contextmanager
def world(users: int, reported: int, folder: Path) -> Iterator[World]:
    """PostgreSQL on the client's core, until the end of the block."""
    with Postgres() as postgres:
        made = World(users, reported, folder, postgres)
        machine.pin(made.pids(), machine.CLIENT_CORE)
        _migrate(made.settings(0))
        _write_tokens(made.tokens, users)
        made.fresh()
        yield made


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[tuple[int, Process]]:
    """Redis on the server's core, which keeps nothing and never drops a slow subscriber: its port and process."""
    port = free_port()
    server = installation.program("redis-server", "redis-server")
    options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "maxclients": 20_000}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    words += ["--client-output-buffer-limit", "pubsub 512mb 256mb 60"]
    with Process([server, *words], core=machine.SERVER_CORE, folder=folder) as process:
        process.wait_for_port(port)
        yield port, process
