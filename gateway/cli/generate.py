"""`gateway generate`."""

import asyncio
from pathlib import Path

import click
import httpx

from gateway.cli.conversation import converse
from gateway.cli.options import of_a_gateway
from gateway.cli.picture_file import STDOUT, check_output, write_picture
from gateway.cli.terminal import follow, leave
from gateway.client import GatewayClient


@click.command("generate")
@click.argument("product")
@click.argument("brand")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to save the picture; - is the output.")
@click.option("-f", "--force", is_flag=True, help="Overwrite that file.")
@click.option("--organization", metavar="UUID", help="For which of your organizations, where there are several.")
@of_a_gateway
def generate_command(
    product: str,
    brand: str,
    output: Path | None,
    force: bool,
    organization: str | None,
    url: str,
    token: str | None,
    as_json: bool,
) -> None:
    """Generate a picture for PRODUCT by BRAND, with live progress.

    With --json, every change is printed as a line; the last one is final.
    """
    if as_json and output == STDOUT:
        raise click.UsageError("--json and -o - both want the output.")
    if output is not None:
        check_output(output, force=force)
    request_id: str | None = None

    async def talk(client: GatewayClient) -> None:
        nonlocal request_id
        request_id = await client.submit(product, brand, organization_id=organization)
        click.echo(f"Request {request_id}", err=True)
        body = await follow(client, request_id, as_json=as_json)
        picture_url = str(body["publicUrl"])
        if not as_json:
            click.echo(picture_url, err=output == STDOUT)
        if output is not None:
            await _save(client, picture_url, output, force=force)

    try:
        converse(url, token, talk)
    except KeyboardInterrupt:
        leave(request_id, url)


async def _save(client: GatewayClient, picture_url: str, output: Path, *, force: bool) -> None:
    try:
        picture = await client.download(picture_url)
        await asyncio.to_thread(write_picture, output, picture, force=force)
    except (httpx.HTTPError, OSError) as error:
        raise click.ClickException(f"The picture is at {picture_url}, but could not be saved: {error}") from None
    if output != STDOUT:
        click.echo(f"Saved {output}", err=True)
