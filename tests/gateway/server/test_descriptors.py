"""The limit on open files and sockets."""

import subprocess
import sys

from gateway.server.descriptors import RESERVED, shortage
from gateway.settings import Settings


def test_a_limit_below_the_connections_is_a_sentence() -> None:
    settings = Settings.load({"ws_connections": 1000, "http_connections": 500})
    assert shortage(settings, 1500 + RESERVED) is None
    assert shortage(settings, 1499 + RESERVED) is not None
    assert shortage(settings, None) is None
    sentence = shortage(settings, 1024)
    assert sentence is not None
    assert "1024" in sentence
    assert "WS_CONNECTIONS" in sentence


def test_the_limit_is_raised_as_far_as_it_may_be() -> None:
    """In a process of its own: one cannot lower a hard limit and raise it again."""
    code = (
        "import resource; from gateway.server.descriptors import raise_limit\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512))\n"
        "print(raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["512", "512"]
