"""Redis behind Sentinels: the URL that names them, and connections that ask them where the primary is.

``redis+sentinel://user:password@one:26379,two:26379/service/0``, as redis-py's neighbours and Celery write it; with
``rediss`` both the Sentinels and the servers are spoken to by TLS. User and password are the servers'; Sentinels with
their own have them as ``sentinel_username`` and ``sentinel_password``.
"""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import Sentinel
from redis.asyncio.connection import SSLConnection
from redis.asyncio.sentinel import SentinelConnectionPool

MARK = "+sentinel://"
"""What tells such a URL, behind ``redis`` or ``rediss``."""

PORT = 26379
"""A Sentinel's, where none is named."""

SENTINEL_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})
"""Options of such a URL that other URLs have not."""


class SentinelUrlError(ValueError):
    """A URL that names no Sentinels; the text goes on after the setting's name."""


@dataclass(frozen=True)
class Sentinels:
    """The addresses of Sentinels, and the name under which they know the primary."""

    addresses: tuple[tuple[str, int], ...]
    service: str


def without_sentinels(url: str) -> tuple[str, Sentinels | None]:
    """`url` as that of a single server, and the Sentinels that it names; None where it names none.

    Raises:
        SentinelUrlError: it cannot be read.
    """
    scheme, mark, rest = url.partition(MARK)
    if not mark or scheme not in ("redis", "rediss"):
        return url, None
    place, question, query = rest.partition("?")
    authority, _, path = place.partition("/")
    user, at, hosts = authority.rpartition("@")
    service, _, database = path.partition("/")
    if not service:
        raise SentinelUrlError("names no service: write redis+sentinel://host:26379/the-name-of-the-primary")
    addresses = tuple(_address(host) for host in hosts.split(","))
    host, port = addresses[0]
    name = f"[{host}]" if ":" in host else host
    plain = f"{scheme}://{user}{at}{name}:{port}/{database}{question}{query}"
    return plain, Sentinels(addresses, unquote(service))


def _address(host: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname, parts.port or PORT
    except ValueError as error:
        raise SentinelUrlError("names a Sentinel that cannot be read") from error
    if not name:
        raise SentinelUrlError("names no Sentinel")
    return name, port


class SentinelPool(SentinelConnectionPool):
    """Connections to the primary that the Sentinels name at the moment; between two questions they are left alone."""

    def __init__(self, service: str, manager: Sentinel, **options: Any) -> None:  # noqa: ANN401 - redis-py's
        super().__init__(service, manager, **options)  # type: ignore[no-untyped-call]
        self._asking = asyncio.Lock()

    async def get_master_address(self) -> tuple[str, int]:
        """Where the primary is.

        Raises:
            MasterNotFoundError: no Sentinel that answers knows one.
        """
        async with self._asking:  # who has asked closes the connections of all who ask
            try:
                address: tuple[str, int] = await super().get_master_address()  # type: ignore[no-untyped-call]
                return address
            finally:
                for sentinel in self.sentinel_manager.sentinels:
                    await sentinel.aclose()


def sentinel_pool(sentinels: Sentinels, credentials: dict[str, str], options: dict[str, Any]) -> SentinelPool:
    """A pool of such connections, none of them made yet.

    Args:
        sentinels: whom to ask.
        credentials: `SENTINEL_OPTIONS` that were set.
        options: of a connection to the server, as redis-py has them; its address is left out.
    """
    options = {name: value for name, value in options.items() if name not in ("host", "port")}
    if issubclass(options.pop("connection_class", object), SSLConnection):
        options["ssl"] = True
    asking = {
        name: value for name, value in options.items() if name not in ("db", "username", "password", "client_name")
    }
    asking |= {name.removeprefix("sentinel_"): value for name, value in credentials.items()}
    manager = Sentinel(sentinels.addresses, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    return SentinelPool(sentinels.service, manager, **options)
