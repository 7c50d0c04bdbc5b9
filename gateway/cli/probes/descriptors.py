"""Whether this machine lets a process open as many sockets as the settings let clients take."""

from gateway.cli.probes.finding import Finding, ok, warning
from gateway.server.descriptors import raise_limit, shortage
from gateway.settings import Settings


async def probe(settings: Settings) -> list[Finding]:
    """Raise the limit as a server does at its start, and compare."""
    limit = raise_limit()
    if (sentence := shortage(settings, limit)) is not None:
        return [warning("WS_CONNECTIONS", sentence)]
    room = "no limit" if limit is None else f"{limit:,} files and sockets"
    return [ok("WS_CONNECTIONS", f"a process may open {room}")]
