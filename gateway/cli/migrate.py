"""`gateway migrate`."""

import click
from alembic.util.exc import CommandError

from gateway.cli.database_faults import explain
from gateway.cli.startup import load_settings
from storage import migrations
from storage.database.schema import VERSION


@click.command("migrate")
@click.option("--sql", is_flag=True, help="Print the SQL for PostgreSQL instead of running it.")
@click.option("--since", metavar="VERSION", help="With --sql: only what came after this migration, such as 0001.")
def migrate_command(sql: bool, since: str | None) -> None:
    """Bring the database to the newest schema."""
    if sql:
        try:
            click.echo(migrations.upgrade_sql(since), nl=False)
        except CommandError as error:
            raise click.ClickException(f"There is no migration {since}: {error}") from None
        return
    if since is not None:
        raise click.UsageError("--since goes with --sql; on a database, migrate knows by itself what is missing.")
    settings = load_settings()
    try:
        before = migrations.upgrade(settings.database_url.get_secret_value())
    except Exception as error:  # noqa: BLE001 - whatever a driver raises is the finding
        raise click.ClickException(f"Nothing was changed. DATABASE_URL: {explain(error)}") from None
    if before == VERSION:
        click.echo(f"The database is already at {VERSION}.")
    elif before is None:
        click.echo(f"Created the tables: the database is now at {VERSION}.")
    else:
        click.echo(f"Brought the database from {before} to {VERSION}.")
