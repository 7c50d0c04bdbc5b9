"""`gateway status`, `watch`, `list` and `cancel`: requests that exist."""

import typing

import click

from gateway.cli.conversation import converse
from gateway.cli.options import of_a_gateway
from gateway.cli.terminal import follow, leave, print_body, print_json, print_page
from gateway.client import GatewayClient, Status

ID = click.argument("request_id", metavar="ID")


@click.command("status")
@ID
@of_a_gateway
def status_command(request_id: str, url: str, token: str | None, as_json: bool) -> None:
    """Show a request as it is now."""
    body = converse(url, token, lambda client: client.status(request_id))
    (print_json if as_json else print_body)(body)


@click.command("watch")
@ID
@of_a_gateway
def watch_command(request_id: str, url: str, token: str | None, as_json: bool) -> None:
    """Follow a request to its end.

    The status is 0 when there is a picture, and 1 when the generation failed. With --json, every change is printed as
    a line; the last one is final.
    """

    async def talk(client: GatewayClient) -> None:
        body = await follow(client, request_id, as_json=as_json)
        if not as_json:
            click.echo(body["publicUrl"])

    try:
        converse(url, token, talk)
    except KeyboardInterrupt:
        leave(request_id, url)


@click.command("list")
@click.option("--status", type=click.Choice(typing.get_args(Status)), help="Only requests in this state.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100), help="Most requests.")
@click.option("--cursor", help="The nextCursor of the JSON before.")
@of_a_gateway
def list_command(
    status: Status | None, limit: int, cursor: str | None, url: str, token: str | None, as_json: bool
) -> None:
    """List your requests, newest first."""
    page = converse(url, token, lambda client: client.list(status=status, limit=limit, cursor=cursor))
    (print_json if as_json else print_page)(page)


@click.command("cancel")
@ID
@of_a_gateway
def cancel_command(request_id: str, url: str, token: str | None, as_json: bool) -> None:
    """Cancel a request.

    A picture that comes all the same still wins: it exists and was paid for.
    """
    body = converse(url, token, lambda client: client.cancel(request_id))
    (print_json if as_json else print_body)(body)
