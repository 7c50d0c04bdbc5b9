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
    assert not counted._networks, "nothing is kept of who has gone"


def test_one_customer_s_ipv6_addresses_share() -> None:
    counted = OpenConnections(per_address=2, in_total=10)
    taken = [counted.take(f"2001:db8:0:1::{last}", is_proxy=False) for last in (1, 2, 3)]
    assert taken == [True, True, False]
    assert counted.take("2001:db8:0:2::1", is_proxy=False), "the neighbor's"
    counted.release("2001:db8:0:1::1")
    assert counted.take("2001:db8:0:1::4", is_proxy=False)
