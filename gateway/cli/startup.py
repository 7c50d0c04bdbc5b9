"""What comes before a server: settings, logging, a socket and a database that can be used, or a sentence."""

import asyncio
import os
import socket
from collections.abc import Iterable, Iterator

import click

from gateway.cli.database_faults import explain
from gateway.http_client import environment_problems
from gateway.server.listener import bind
from gateway.settings import Settings, SettingsError
from gateway.settings.redis_url import read_redis_url
from gateway.telemetry.logging import configure_logging
from storage.database.open import open_database
from storage.database.postgres_url import read_url
from storage.database.schema import check_schema
from storage.database.sqlite import is_sqlite


def load_settings(*, asks_others: bool = False) -> Settings:
    """The settings, or every problem with them in one message; doubtful ones are told and used.

    Args:
        asks_others: whether the process will ask other services, so that the environment's proxies must be good too.
    """
    problems = environment_problems() if asks_others else []
    try:
        settings = Settings.load()
    except SettingsError as error:
        raise click.ClickException(told([*error.problems, *problems])) from None
    if problems:
        raise click.ClickException(told(problems))
    for warning in warnings_of(settings):
        click.echo(f"Warning: {warning}", err=True)
    return settings


def told(problems: Iterable[str]) -> str:
    """Every problem with the settings, a line each."""
    lines = "\n".join(f"  - {problem}" for problem in problems)
    return f"The settings cannot be used:\n{lines}"


def warnings_of(settings: Settings) -> Iterator[str]:
    """What is probably not meant as it stands."""
    yield from settings.warnings
    url = settings.database_url.get_secret_value()
    if not is_sqlite(url):
        yield from (f"DATABASE_URL: {warning}." for warning in read_url(url).warnings)
    if settings.redis_url is not None:
        read = read_redis_url(settings.redis_url.get_secret_value())
        yield from (f"REDIS_URL: {warning}." for warning in read.warnings)


def start_logging(settings: Settings) -> None:
    """Log as the environment wants it."""
    configure_logging(production=settings.environment == "production")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, or a sentence."""
    try:
        return bind(host, port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise click.ClickException(f"Cannot listen on {host}:{port} ({reason}). Choose another with --port.") from None


def check_database(settings: Settings) -> None:
    """Stop with a sentence, before any server starts, if the database cannot be used."""

    async def check() -> None:
        async with open_database(settings.database_url.get_secret_value()) as database:
            await check_schema(database)

    try:
        asyncio.run(check())
    except Exception as error:  # noqa: BLE001 - whatever a driver raises is the finding
        raise click.ClickException(f"DATABASE_URL: {explain(error)}") from None
