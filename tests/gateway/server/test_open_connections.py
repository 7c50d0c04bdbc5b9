"""The count of HTTP connections."""

from gateway.server.open_connections import OpenConnections


def test_addresses_have_their_share_and_proxies_the_whole() -> None:
    counted = OpenConnections(per_address=2, in_total=4)
    assert [counted.take("a", is_proxy=False) for _ in range(3)] == [True, True, False]
    assert counted.take("proxy", is_proxy=True)
    assert counted.take("proxy", is_proxy=True)
    assert not counted.take("b", is_proxy=False), "the process is full"
    counted.release("proxy")
    assert counted.take("b", is_proxy=False)
    for host in ("a", "a", "b", "proxy"):
        counted.release(host)
    assert counted.open == 0
    assert not counted._addresses, "nothing is kept of who has gone"
