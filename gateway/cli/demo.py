"""`gateway demo`."""

import contextlib
import os
import socket

import click

from gateway.cli.invocation import command, install_command
from gateway.cli.options import DEFAULT_URL, PORT
from gateway.cli.startup import listen, told
from gateway.demo import FOLDER, prepare
from gateway.demo.log import log_as_demo
from gateway.demo.servers import NotInstalled
from gateway.demo.stack import running_stack
from gateway.http_client import environment_problems
from gateway.server.server import serve
from gateway.settings import SettingsError
from storage.errors import DatabaseBusy


@click.command("demo")
@PORT
@click.option("--stack", is_flag=True, help="With PostgreSQL, Valkey and two server processes, as in production.")
def demo_command(port: int, stack: bool) -> None:
    """Run everything on this machine, with stand-ins for n8n and Supabase.

    It keeps its data in the folder .gateway-demo, and goes on where it was when it is started there again.
    """
    if os.environ.get("ENVIRONMENT") == "production":
        raise click.ClickException("The demo signs everyone in; it refuses to run with ENVIRONMENT=production.")
    if problems := environment_problems():
        raise click.ClickException(told(problems))
    try:
        # uvicorn repeats the signal once it has stopped in good order.
        with contextlib.suppress(KeyboardInterrupt), listen("127.0.0.1", port) as listener:
            (_run_stack if stack else _run)(listener)
    except NotInstalled as error:
        raise click.ClickException(f"{error} is not installed: {install_command('stack')}") from None
    except SettingsError as error:
        raise click.ClickException(told(error.problems)) from None
    except DatabaseBusy:
        raise click.ClickException(
            "A demo already runs in this folder. Stop it, or start this one elsewhere."
        ) from None
    except OSError as error:
        raise click.ClickException(
            f"The demo keeps its data in {FOLDER.absolute()}, which cannot be written ({error.strerror or error}). "
            "Start it in a folder of your own."
        ) from None


def _run(listener: socket.socket) -> None:
    log_as_demo()
    demo = prepare(listener)
    _greet("demo", demo.url)
    serve(demo.app, demo.settings, listener)


def _run_stack(listener: socket.socket) -> None:
    log_as_demo()
    with running_stack(listener) as stack:
        _greet("stack", stack.url)
        click.echo(f"  PostgreSQL: {stack.database_url}\n  Valkey:     {stack.redis_url}\n")
        stack.serve()


def _greet(what: str, url: str) -> None:
    where = () if url == DEFAULT_URL else ("--url", url)
    generate = command("generate", "Running Shoes", "Nike", "-o", "out.png", *where)
    click.echo(f"\n  The gateway's {what} runs at {url}  (Ctrl-C stops it)")
    click.echo(f"  Its dashboard: {url}/admin\n")
    click.echo(f"  In another terminal: {generate}\n")
