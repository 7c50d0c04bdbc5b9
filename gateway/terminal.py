"""`gateway generate`: one request with a live progress bar in the terminal."""

import asyncio
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gateway.client import Body, GatewayClient, GatewayError


async def generate_in_terminal(product: str, brand: str, output: Path | None, url: str, token: str | None) -> None:
    """Submit, show every change, and save the picture.

    Raises:
        GatewayError: refused, or the generation failed.
        httpx.HTTPError: the gateway cannot be reached.
    """
    console = Console(stderr=True)
    async with GatewayClient(url, token or await _demo_token(url)) as client:
        request_id = await client.submit(product, brand)
        body: Body = {"status": "pending", "publicUrl": None}
        with Progress(
            SpinnerColumn(), TextColumn("{task.description:<11}"), BarColumn(), TimeElapsedColumn(), console=console
        ) as bar:
            task = bar.add_task("pending", total=100)
            async for body in client.watch(request_id):
                bar.update(task, description=str(body["status"]), completed=body["progress"] or 0)
        if body["status"] == "failed":
            raise GatewayError(0, str(body["errorCode"]), f"The generation failed: {body['errorMessage']}")
        picture_url = str(body["publicUrl"])
        if output is not None:
            picture = await client.download(picture_url)
            await asyncio.to_thread(output.write_bytes, picture)
            console.print(f"Saved {output}", style="green")
    Console().print(picture_url, soft_wrap=True, highlight=False)


async def _demo_token(url: str) -> str:
    """The token that a demo on this machine hands out."""
    async with httpx.AsyncClient(base_url=url, timeout=10) as http:
        answer = await http.get("/demo/session")
    if answer.status_code != 200:
        raise GatewayError(401, "unauthorized", "This gateway is no demo: pass --token (see `gateway token --help`).")
    return str(answer.json()["access_token"])
