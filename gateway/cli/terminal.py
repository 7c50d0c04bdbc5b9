"""`gateway generate`: one request with a live progress bar in the terminal."""

import asyncio
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from gateway.client import Body, GatewayClient, GatewayError


async def generate_in_terminal(product: str, brand: str, output: Path | None, url: str, token: str | None) -> None:
    """Submit, show every change, print the picture's URL, and save it.

    Raises:
        GatewayError: refused, or the generation failed.
        httpx.HTTPError: the gateway or the picture cannot be reached.
        OSError: the picture cannot be written.
    """
    console = Console(stderr=True)
    async with GatewayClient(url, token or await _demo_token(url)) as client:
        request_id = await client.submit(product, brand)
        console.print(f"Request {request_id}", style="dim", highlight=False)
        body = await _follow(client, request_id, console)
        if body["status"] == "failed":
            raise GatewayError(0, str(body["errorCode"]), f"The generation failed: {body['errorMessage']}")
        picture_url = str(body["publicUrl"])
        Console().print(picture_url, soft_wrap=True, highlight=False)
        if output is not None:
            picture = await client.download(picture_url)
            await asyncio.to_thread(output.write_bytes, picture)
            console.print(f"Saved {output}", style="green", highlight=False)


async def _follow(client: GatewayClient, request_id: str, console: Console) -> Body:
    """Show the request's changes; its last Body."""
    columns = TextColumn("{task.description:<10}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    body: Body = {}
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("pending", total=100)
        async for body in client.watch(request_id):
            bar.update(task, description=str(body["status"]), completed=body["progress"] or 0)
    return body


async def _demo_token(url: str) -> str:
    """The token that a demo on this machine hands out."""
    async with httpx.AsyncClient(base_url=url, timeout=10) as http:
        answer = await http.get("/demo/session")
    if answer.status_code != 200:
        raise GatewayError(401, "unauthorized", "This gateway is no demo: pass --token (see `gateway token --help`).")
    return str(answer.json()["access_token"])
