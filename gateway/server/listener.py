"""The listening socket."""

import socket

BACKLOG = 2048
"""How many connections may wait to be accepted."""


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens on `host`; on `::` for IPv4 too, where the system can.

    Raises:
        OSError: the address is in use or not ours.
    """
    listener = socket.create_server(
        (host, port),
        family=socket.AF_INET6 if ":" in host else socket.AF_INET,
        backlog=BACKLOG,
        dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
    )
    listener.set_inheritable(True)
    return listener
