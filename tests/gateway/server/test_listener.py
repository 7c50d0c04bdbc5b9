"""The listening socket."""

import socket

import pytest

from gateway.server.listener import bind


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system keeps the two apart, or has no IPv6")
def test_every_address_of_ipv6_is_every_address_of_ipv4_too() -> None:
    with bind("::", 0) as listener:
        port = listener.getsockname()[1]
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as client:
                client.connect((host, port))
                accepted, _ = listener.accept()
                accepted.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_one_address_is_one(host: str) -> None:
    with bind(host, 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        with pytest.raises(OSError, match="in use"):
            bind(host, listener.getsockname()[1])
