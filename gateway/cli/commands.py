"""The commands, thin: each reads its options, calls one function, and says in a sentence what went wrong."""

import asyncio
import os
import signal
import uuid
from pathlib import Path
from typing import Any

import click

from gateway import __version__
from gateway.settings import Settings, SettingsError

_HOST = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
_PORT = click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """A realtime gateway between browsers and n8n workflows that generate AI images."""


def _settings(**overrides: Any) -> Settings:  # noqa: ANN401 - the fields' own types
    try:
        return Settings.load(overrides)
    except SettingsError as error:
        problems = "\n".join(f"  - {problem}" for problem in error.problems)
        raise click.ClickException(f"The settings cannot be used:\n{problems}") from None


def _logging(settings: Settings) -> None:
    from gateway.telemetry.logging import configure_logging

    configure_logging(production=settings.environment == "production")


def _bind(host: str, port: int) -> Any:  # noqa: ANN401 - a socket; imported where it is used
    from gateway.server.listener import bind

    try:
        return bind(host, port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise click.ClickException(f"Cannot listen on {host}:{port} ({reason}). Choose another with --port.") from None


def _check_database(settings: Settings) -> None:
    """Stop with a sentence, before any server starts, if the database cannot be used."""
    from storage.database.open import open_database
    from storage.database.schema import check_schema
    from storage.errors import StorageError

    async def check() -> None:
        async with open_database(settings.database_url.get_secret_value()) as database:
            await check_schema(database)

    try:
        asyncio.run(check())
    except StorageError as error:
        raise click.ClickException(str(error)) from None
    except Exception as error:  # noqa: BLE001 - whatever a driver raises is the finding
        raise click.ClickException(f"The database at DATABASE_URL cannot be reached: {error}") from None


@main.command()
@_PORT
@click.option("--stack", is_flag=True, help="With PostgreSQL, Valkey and two server processes, as in production.")
def demo(port: int, stack: bool) -> None:
    """Run everything on this machine: SQLite, and stand-ins for n8n and the object store."""
    from gateway.demo import run_demo
    from gateway.demo.servers import NotInstalled
    from gateway.demo.stack import run_stack
    from storage.errors import DatabaseBusy

    if os.environ.get("ENVIRONMENT") == "production":
        raise click.ClickException("The demo signs everyone in; it refuses to run with ENVIRONMENT=production.")
    listener = _bind("127.0.0.1", port)
    try:
        if stack:
            run_stack(listener)
        else:
            run_demo(listener)
    except NotInstalled as error:
        raise click.ClickException(str(error)) from None
    except SettingsError as error:
        raise click.ClickException("\n".join(error.problems)) from None
    except DatabaseBusy:
        raise click.ClickException(
            "A demo already runs in this folder. Stop it, or start this one elsewhere."
        ) from None


@main.command()
@click.argument("product")
@click.argument("brand")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to save the picture.")
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The gateway's address.")
@click.option("--token", envvar="GATEWAY_TOKEN", help="An access token; not needed against a demo on this machine.")
def generate(product: str, brand: str, output: Path | None, url: str, token: str | None) -> None:
    """Generate a picture for PRODUCT by BRAND, with live progress."""
    import httpx

    from gateway.cli.terminal import generate_in_terminal
    from gateway.client import GatewayError

    if output is not None and not output.absolute().parent.is_dir():
        raise click.ClickException(f"The folder {output.absolute().parent} does not exist.")

    try:
        asyncio.run(generate_in_terminal(product, brand, output, url, token))
    except GatewayError as error:
        raise click.ClickException(str(error)) from None
    except httpx.TransportError as error:
        raise click.ClickException(f"No gateway answers at {url} ({type(error).__name__}).") from None
    except (httpx.HTTPError, OSError) as error:
        raise click.ClickException(f"The picture exists, but could not be saved: {error}") from None
    except KeyboardInterrupt:
        raise click.Abort from None


@main.command()
@_HOST
@_PORT
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Server processes.")
@click.option("--no-worker", is_flag=True, help="Leave dispatch and deadlines to `gateway worker`.")
def serve(host: str, port: int, workers: int, no_worker: bool) -> None:
    """Serve HTTP and WebSocket; includes the worker unless told otherwise."""
    from gateway.app import create_app
    from gateway.server.server import serve as serve_one
    from gateway.server.supervisor import serve_in_processes
    from gateway.telemetry.metrics import NoMetricsFolder

    settings = _settings()
    if workers > 1 and (reason := settings.single_process_reason):
        raise click.ClickException(reason)
    if no_worker and (reason := settings.single_process_reason):
        raise click.ClickException(f"--no-worker leaves the sending to another process. {reason}")
    if host not in ("127.0.0.1", "localhost", "::1") and settings.has_weak_secrets:
        raise click.ClickException(
            "The development secrets are known to everyone, and short ones can be guessed: set N8N_WEBHOOK_SECRET, "
            f"AI_CALLBACK_SECRET and SUPABASE_JWT_SECRET before listening on {host}."
        )
    _logging(settings)
    if not settings.n8n_webhook_url and not no_worker:
        click.echo("N8N_WEBHOOK_URL is not set: every request will fail. `gateway demo` has a stand-in.", err=True)
    _check_database(settings)
    listener = _bind(host, port)
    click.echo(f"Serving http://{host}:{listener.getsockname()[1]}", err=True)
    if workers > 1:
        factory = "gateway.app:app_without_worker" if no_worker else "gateway.app:app_with_worker"
        try:
            serve_in_processes(settings, listener, workers, factory=factory)
        except NoMetricsFolder as error:
            raise click.ClickException(str(error)) from None
    else:
        serve_one(create_app(settings, worker=not no_worker), settings, listener)


@main.command()
@_HOST
@click.option("--port", type=click.IntRange(0, 65535), help="Answer /healthz, /readyz and /metrics there.")
def worker(host: str, port: int | None) -> None:
    """Send requests to n8n and watch deadlines, without serving clients."""
    from gateway.app import build_state, create_worker_app, running
    from gateway.server.server import serve as serve_one

    settings = _settings()
    if reason := settings.single_process_reason:
        raise click.ClickException(f"`gateway serve` includes the worker. {reason}")
    _logging(settings)
    _check_database(settings)
    if port is not None:
        listener = _bind(host, port)
        click.echo(f"The worker runs, and answers operators at http://{host}:{listener.getsockname()[1]}", err=True)
        serve_one(create_worker_app(settings), settings, listener)
        return

    async def work() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with running(build_state(settings), worker=True):
            click.echo("The worker runs.", err=True)
            await stop.wait()

    asyncio.run(work())


@main.command()
@click.option("--sql", is_flag=True, help="Print the SQL for PostgreSQL instead of running it.")
@click.option("--since", metavar="VERSION", help="With --sql: only what came after this migration, such as 0001.")
def migrate(sql: bool, since: str | None) -> None:
    """Bring the database to the newest schema."""
    from alembic.util.exc import CommandError

    from storage import migrations

    if sql:
        try:
            click.echo(migrations.upgrade_sql(since), nl=False)
        except CommandError as error:
            raise click.ClickException(f"There is no migration {since}: {error}") from None
        return
    if since is not None:
        raise click.UsageError("--since goes with --sql; on a database, migrate knows by itself what is missing.")
    settings = _settings()
    try:
        migrations.upgrade(settings.database_url.get_secret_value())
    except Exception as error:
        raise click.ClickException(f"The migration failed and changed nothing: {error}") from error
    click.echo("The database is up to date.")


@main.command()
@click.option("--user", required=True, type=click.UUID, help="The user's id.")
@click.option("--admin", is_flag=True, help="With the role admin.")
@click.option("--expires", default=3600, show_default=True, type=click.IntRange(1), help="Lifetime in seconds.")
def token(user: uuid.UUID, admin: bool, expires: int) -> None:
    """Print an access token signed with SUPABASE_JWT_SECRET."""
    from gateway.auth.tokens import issue_token

    secret = _settings().supabase_jwt_secret.get_secret_value()
    click.echo(issue_token(secret, str(user), admin=admin, lifetime=expires))


@main.command()
def check() -> None:
    """Check the settings and every connection; report all problems at once."""
    from gateway.cli.check import find_all_problems

    problems = asyncio.run(find_all_problems())
    for problem in problems:
        click.echo(f"  - {problem}", err=True)
    if problems:
        raise click.ClickException(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} found.")
    click.echo("Everything is in order.")
