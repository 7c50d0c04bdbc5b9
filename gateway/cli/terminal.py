"""Requests on a terminal: a progress bar while they run, a table of many, the facts of one."""

import contextlib

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.cli.commands import INTERRUPTED
from gateway.cli.invocation import command
from gateway.cli.options import DEFAULT_URL
from gateway.client import FINAL, Body, GatewayClient, GenerationFailed, Page

COLUMNS = 200
"""How wide a table may be where no terminal says it: in a file or a pipe nothing is cut."""


async def follow(client: GatewayClient, request_id: str, *, as_json: bool) -> Body:
    """Show the request's changes, as a bar or as a line of JSON each, and return its completed Body.

    Raises:
        GenerationFailed: it ended without a picture.
        GatewayError: there is no such request, or the token is no good.
    """
    console = Console(stderr=True)
    columns = TextColumn("{task.description:<10}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=as_json) as bar:
        task = bar.add_task("pending", total=100)
        async with contextlib.aclosing(client.watch(request_id)) as bodies:
            async for body in bodies:
                if as_json:
                    print_json(body)
                bar.update(task, description=body["status"], completed=body["progress"] or 0)
                if body["status"] in FINAL:
                    break
    if body["status"] == "failed":
        raise GenerationFailed(body)
    return body


def leave(request_id: str | None, url: str) -> None:
    """End the command after Ctrl-C: the request goes on, and this is how to come back to it."""
    where = () if url == DEFAULT_URL else ("--url", url)
    if request_id is None:
        click.echo(f"\nNot submitted, or its answer did not come: look with `{command('list', *where)}`.", err=True)
    else:
        click.echo(
            f"\nThe request goes on. Come back to it with `{command('watch', request_id, *where)}`, or end it with "
            f"`{command('cancel', request_id, *where)}`.",
            err=True,
        )
    click.get_current_context().exit(INTERRUPTED)


def print_json(content: Body | Page) -> None:
    """One line of JSON."""
    click.echo(msgspec.json.encode(content).decode())


def print_body(body: Body) -> None:
    """The facts of one request."""
    progress = "" if body["progress"] is None else f" ({body['progress']} %)"
    facts = {
        "Request": body["requestId"],
        "Status": f"{body['status']}{progress}",
        "Product": body["product"],
        "Brand": body["brand"],
        "Created": body["createdAt"],
        "Completed": body["completedAt"],
        "Picture": body["publicUrl"],
        "Error": body["errorMessage"],
        "Cost": body["cost"],
    }
    for name, value in facts.items():
        if value is not None:
            click.echo(f"{name:<10}{value}")


def print_page(page: Page) -> None:
    """A line for each request."""
    table = Table("Request", "Status", "", "Created", "Product", "Brand", box=None, pad_edge=False, header_style="dim")
    for body in page["requests"]:
        progress = "" if body["progress"] is None else f"{body['progress']} %"
        table.add_row(body["requestId"], body["status"], progress, body["createdAt"], body["product"], body["brand"])
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = COLUMNS
    console.print(table)
