"""`gateway serve` and `gateway worker`."""

import asyncio
import signal

import click

from gateway.app import build_state, create_app, create_worker_app, running
from gateway.cli.options import HOST, PORT
from gateway.cli.startup import check_database, listen, load_settings, start_logging
from gateway.server.server import serve
from gateway.server.supervisor import serve_in_processes
from gateway.settings import Settings
from gateway.tasks import stop_all
from gateway.telemetry.metrics import NoMetricsFolder

LOCAL = ("127.0.0.1", "localhost", "::1")


@click.command("serve")
@HOST
@PORT
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Server processes.")
@click.option("--no-worker", is_flag=True, help="Leave dispatch and deadlines to `gateway worker`.")
def serve_command(host: str, port: int, workers: int, no_worker: bool) -> None:
    """Serve HTTP and WebSocket; includes the worker unless told otherwise."""
    settings = load_settings(asks_others=True)
    if workers > 1 and (reason := settings.single_process_reason):
        raise click.ClickException(reason)
    if no_worker and (reason := settings.single_process_reason):
        raise click.ClickException(f"--no-worker leaves the sending to another process. {reason}")
    if host not in LOCAL and settings.has_weak_secrets:
        raise click.ClickException(
            "The development secrets are known to everyone, and short ones can be guessed: set N8N_WEBHOOK_SECRET, "
            f"AI_CALLBACK_SECRET and SUPABASE_JWT_SECRET before listening on {host}."
        )
    start_logging(settings)
    if not settings.n8n_webhook_url and not no_worker:
        click.echo("N8N_WEBHOOK_URL is not set: every request will fail. `gateway demo` has a stand-in.", err=True)
    check_database(settings)
    with listen(host, port) as listener:
        click.echo(f"Serving {_url(host, listener.getsockname()[1])}", err=True)
        if workers == 1:
            serve(create_app(settings, worker=not no_worker), settings, listener)
            return
        factory = "gateway.app:app_without_worker" if no_worker else "gateway.app:app_with_worker"
        try:
            serve_in_processes(settings, listener, workers, factory=factory)
        except NoMetricsFolder as error:
            raise click.ClickException(str(error)) from None


@click.command("worker")
@HOST
@click.option("--port", type=click.IntRange(0, 65535), help="Answer /healthz, /readyz and /metrics there.")
def worker_command(host: str, port: int | None) -> None:
    """Send requests to n8n and watch deadlines, without serving clients."""
    settings = load_settings(asks_others=True)
    if reason := settings.single_process_reason:
        raise click.ClickException(f"`gateway serve` includes the worker. {reason}")
    start_logging(settings)
    check_database(settings)
    if port is None:
        asyncio.run(_work(settings))
        return
    listener = listen(host, port)
    click.echo(f"The worker runs, and answers operators at {_url(host, listener.getsockname()[1])}", err=True)
    serve(create_worker_app(settings), settings, listener)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _work(settings: Settings) -> None:
    """Work until a signal says to stop, even one that comes while the database is waited for."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runs = asyncio.Event()

    async def work() -> None:
        async with running(build_state(settings), worker=True):
            runs.set()
            click.echo("The worker runs.", err=True)
            await stop.wait()

    working, stopping = asyncio.create_task(work()), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    await stop_all(stopping, *(() if runs.is_set() else (working,)))
    if not working.cancelled():
        await working
