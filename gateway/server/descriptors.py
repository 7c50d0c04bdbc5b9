"""File descriptors: every connection takes one, and a process without a free one accepts nobody."""

import structlog

from gateway.settings import Settings

log = structlog.get_logger(__name__)

RESERVED = 256
"""How many a process needs beside its clients' connections: database, bus, n8n, files."""


def raise_limit() -> int | None:
    """Raise this process's limit as far as the system allows; the limit, or None where there is none."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError):  # some systems name a limit that they do not allow
            pass
    return None if soft == resource.RLIM_INFINITY else soft


def shortage(settings: Settings, limit: int | None) -> str | None:
    """What is wrong if this process may open fewer descriptors than it may hold connections; None if nothing is."""
    wanted = settings.ws_connections + settings.http_connections + RESERVED
    if limit is None or limit >= wanted:
        return None
    return (
        f"This process may open {limit} files and sockets, but WS_CONNECTIONS and HTTP_CONNECTIONS would take {wanted}"
        ": raise the limit (`ulimit -n`, LimitNOFILE=) or lower the settings."
    )


def provide_descriptors(settings: Settings) -> None:
    """Raise the limit, and warn if that was not enough."""
    limit = raise_limit()
    if (sentence := shortage(settings, limit)) is not None:
        log.warning("few_descriptors", limit=limit, problem=sentence)
