"""How Alembic runs here: on the connection that `storage.migrations` made, or, without one, as SQL for PostgreSQL."""

from alembic import context
from sqlalchemy import Connection

from storage.migrations import VERSION_TABLE

connection: Connection | None = context.config.attributes.get("connection")

if connection is None:
    context.configure(dialect_name="postgresql", version_table=VERSION_TABLE)
    with context.begin_transaction():
        context.run_migrations()
else:
    context.configure(connection=connection, version_table=VERSION_TABLE, transactional_ddl=True)
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            # Two processes that start together must not both create the tables.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended('ai_gateway_schema', 0))")
        context.run_migrations()
