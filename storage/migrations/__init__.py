"""The schema's migrations, run by Alembic: `upgrade` on a database, `upgrade_sql` as a file to apply elsewhere."""

import asyncio
import io
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, pool
from sqlalchemy.ext.asyncio import create_async_engine

from storage.database.postgres_url import read_url
from storage.database.sqlite import is_sqlite, path_of

VERSION_TABLE = "ai_gateway_schema"


def _config(connection: Connection | None = None, output: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=output) if output is not None else Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(url: str) -> str | None:
    """Bring the database at `url` to the newest schema. Safe to run again, and by several processes at once.

    Returns:
        The migration at which the database was before (``0001``); None if it had no gateway tables.
    """
    if is_sqlite(url):
        path_of(url).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(f"sqlite:///{path_of(url)}", poolclass=pool.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            connection.exec_driver_sql("PRAGMA busy_timeout = 10000")
            before = _upgrade(connection)
            connection.commit()
        return before
    return asyncio.run(_upgrade_postgres(url))


def _upgrade(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    before = context.get_current_revision()
    command.upgrade(_config(connection), "head")
    return before


async def _upgrade_postgres(url: str) -> str | None:
    options = read_url(url).connection | {"statement_cache_size": 0}

    async def connect() -> object:
        import asyncpg

        # The driver gets the URL's options, as the gateway's own pool gives them: SQLAlchemy knows fewer of them.
        return await asyncpg.connect(**options)

    engine = create_async_engine(
        "postgresql+asyncpg://",
        poolclass=pool.NullPool,
        async_creator=connect,
        connect_args={"prepared_statement_cache_size": 0},
    )
    async with engine.connect() as connection:
        before = await connection.run_sync(_upgrade)
        await connection.commit()
    await engine.dispose()
    return before


def upgrade_sql(since: str | None = None, until: str = "head") -> str:
    """The schema for PostgreSQL as SQL text, for ``supabase/migrations/``.

    Args:
        since: the migration that the database is at (``0001``); None for a database without our schema.
        until: the migration that it is to be at.
    """
    output = io.StringIO()
    command.upgrade(_config(output=output), f"{since}:{until}" if since else until, sql=True)
    return output.getvalue()
