"""The stand on which everything runs: PostgreSQL, Valkey, an n8n, and two gateway processes."""

import asyncio
import contextlib
import random
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from gateway.auth.tokens import issue_token
from gateway.settings import DEVELOPMENT_SECRETS
from storage import migrations
from storage.database.base import Database
from storage.database.open import open_database
from tests.people import People, Person
from tests.processes.spawning import ServingProcess
from tests.scripted_n8n import ScriptedN8n, scripted_n8n
from tests.servers import Postgres, Valkey, free_port


@dataclass
class Stand:
    """Everything that a fault can break, and what is needed to reach it."""

    postgres: Postgres
    valkey: Valkey
    n8n: ScriptedN8n
    folder: Path
    environment: dict[str, str]
    gateways: list[ServingProcess]
    users: list[Person]

    @property
    def urls(self) -> list[str]:
        return [gateway.url for gateway in self.gateways]

    def any_url(self) -> str:
        return random.choice(self.urls)

    async def start_gateway(self, index: int) -> None:
        """Start a gateway process on the port that it always has."""
        port = self.gateways[index].port
        self.gateways[index].close()
        self.gateways[index] = self._spawn(port)
        await asyncio.to_thread(self.gateways[index].wait_until_ready)

    def _spawn(self, port: int) -> ServingProcess:
        return ServingProcess(
            folder=self.folder, environment=self.environment, module="tests.faults.faulty_gateway", port=port
        )

    async def open(self) -> None:
        self.gateways = [self._spawn(free_port()) for _ in range(2)]
        for gateway in self.gateways:
            await asyncio.to_thread(gateway.wait_until_ready)


def bearer(user_id: str) -> dict[str, str]:
    token = issue_token(DEVELOPMENT_SECRETS["supabase_jwt_secret"], user_id, admin=False, lifetime=3600)
    return {"Authorization": f"Bearer {token}"}


@contextlib.asynccontextmanager
async def standing(
    *, sabotage: str = "", reconcile_seconds: float = 15.0, users: int = 3, **settings: str
) -> AsyncIterator[Stand]:
    """A stand with two ready gateways and some users; `settings` are environment variables for the gateways."""
    with tempfile.TemporaryDirectory(prefix="gateway-faults-") as folder, Postgres() as postgres, Valkey() as valkey:
        await asyncio.to_thread(migrations.upgrade, postgres.url())
        async with scripted_n8n() as n8n:
            async with database(postgres) as opened:
                people = People(opened, "auth.users")
                made = [await people.person() for _ in range(users)]
            environment = {
                "DATABASE_URL": postgres.url(),
                "REDIS_URL": valkey.url,
                "N8N_WEBHOOK_URL": n8n.url,
                "AI_GENERATION_RATE_LIMIT_PER_HOUR": "1000000",
                "AI_DEADLINE_SECONDS": "12",
                "RECONCILE_SECONDS": str(reconcile_seconds),
                "APP_URL": "http://127.0.0.1:9",  # one environment; n8n is told, and asks nobody
                "DRAIN_SECONDS": "1",
                "FAULTS": folder,
                "SABOTAGE": sabotage,
                **settings,
            }
            stand = Stand(postgres, valkey, n8n, Path(folder), environment, [], made)
            try:
                await stand.open()
                yield stand
            finally:
                for gateway in stand.gateways:
                    gateway.close()


@contextlib.asynccontextmanager
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    """The database as an outsider sees it."""
    async with open_database(postgres.url()) as opened:
        yield opened
