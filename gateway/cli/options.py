"""Options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
import httpx

HOST = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
PORT = click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port.")

DEFAULT_URL = "http://127.0.0.1:8000"

F = TypeVar("F", bound=Callable[..., Any])


def _address(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """A gateway's address with its scheme (HTTP for this machine, HTTPS for others) and without a slash at its end."""
    text = value.strip()
    try:
        if "://" not in text:
            local = httpx.URL(f"//{text}").host in ("localhost", "127.0.0.1", "::1")
            text = f"{'http' if local else 'https'}://{text}"
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise click.BadParameter(f"{value!r} is no address of a gateway; write it like {DEFAULT_URL}", ctx, param)
    return str(url).rstrip("/")


_URL = click.option(
    "--url",
    envvar="GATEWAY_URL",
    default=DEFAULT_URL,
    metavar="URL",
    callback=_address,
    show_default=True,
    show_envvar=True,
    help="The gateway's address.",
)
_TOKEN = click.option(
    "--token",
    envvar="GATEWAY_TOKEN",
    show_envvar=True,
    help="An access token; a demo on this machine needs none. In the environment other users do not see it.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")


def of_a_gateway(command: F) -> F:
    """Which gateway is asked, as whom, and in what form its answer is printed: ``url``, ``token``, ``as_json``."""
    return _URL(_TOKEN(_JSON(command)))
