"""A command's conversation with a gateway: a client for its time, and a sentence for whatever goes wrong."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click
import httpx

from gateway.cli.invocation import command
from gateway.cli.reasons import why_unreachable
from gateway.client import GatewayClient, GatewayError, GenerationFailed
from gateway.http_client import UnusableEnvironment, new_client

T = TypeVar("T")


def converse(url: str, token: str | None, talk: Callable[[GatewayClient], Awaitable[T]]) -> T:
    """What `talk` returns, run with a client of the gateway at `url`.

    Raises:
        click.ClickException: refused, or nobody answers.
    """

    async def run() -> T:
        async with GatewayClient(url, token or await _token_of_demo(url)) as client:
            return await talk(client)

    try:
        return asyncio.run(run())
    except UnusableEnvironment as error:
        raise click.ClickException(str(error)) from None
    except GenerationFailed as error:
        raise click.ClickException(f"The generation failed: {error}") from None
    except GatewayError as error:
        raise click.ClickException(_sentence(error, url, token)) from None
    except httpx.TransportError as error:
        raise click.ClickException(f"The gateway at {url} {why_unreachable(error)}. Is --url right?") from None


def _sentence(error: GatewayError, url: str, token: str | None) -> str:
    if error.status == 401 or error.code == "unauthorized":
        how = "Leave the token out" if token is None else "Sign in again for a fresh one"
        issue = command("token", "--user", "UUID")
        return (
            f"The gateway at {url} does not accept this token: it has expired, or was made for another gateway. {how}, "
            f"or make one where the gateway's settings are, with `{issue}`, and pass it in GATEWAY_TOKEN."
        )
    if error.code == "organization_required":
        return f"{error} On the command line: --organization UUID."
    return str(error)


async def _token_of_demo(url: str) -> str:
    """The token that a demo on this machine hands out."""
    async with new_client(base_url=url, timeout=10) as http:
        answer = await http.get("/demo/session")
    try:
        return str(answer.raise_for_status().json()["access_token"])
    except (httpx.HTTPStatusError, ValueError, KeyError, TypeError):
        raise click.ClickException(
            f"The gateway at {url} is no demo, so it wants to know who you are: set GATEWAY_TOKEN, or pass --token "
            f"(`{command('token', '--help')}` tells how to make one)."
        ) from None
