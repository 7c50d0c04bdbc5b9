"""How many connections a user, an address and the process may hold: counted exactly, also where one is refused."""

import pytest

from gateway.realtime.connection_limits import ConnectionLimits, TooManyConnections


def limits(per_user: int = 10, per_address: int = 10, in_total: int = 10) -> ConnectionLimits:
    return ConnectionLimits(per_user=per_user, per_address=per_address, in_total=in_total)


def nothing_is_held(made: ConnectionLimits) -> bool:
    return (made.open, dict(made._users), dict(made._addresses)) == (0, {}, {})


@pytest.mark.parametrize(
    ("made", "kind"),
    [(limits(per_user=2), "user"), (limits(per_address=2), "address"), (limits(in_total=2), "process")],
)
def test_one_more_than_allowed_is_refused_by_name_and_counts_nothing(made: ConnectionLimits, kind: str) -> None:
    with made.holding("10.0.0.1", "ada"), made.holding("10.0.0.1", "ada"):
        with pytest.raises(TooManyConnections, match=f"of this {kind}") as refused, made.holding("10.0.0.1", "ada"):
            pass
        assert refused.value.kind == kind
        assert made.open == 2
        if kind != "process":
            with made.holding("10.0.0.2", "eve"):
                assert made.open == 3
    assert nothing_is_held(made)
    with made.holding("10.0.0.1", "ada"):
        assert made.open == 1


def test_an_address_counts_before_anybody_has_said_who_they_are() -> None:
    made = limits(per_address=1)
    made.acquire_address("10.0.0.1")
    with pytest.raises(TooManyConnections):
        made.acquire_address("10.0.0.1")
    made.acquire_user("ada")
    made.release_user("ada")
    made.release_address("10.0.0.1")
    assert nothing_is_held(made)


def test_what_raises_inside_is_counted_off_too() -> None:
    made = limits()
    with pytest.raises(ZeroDivisionError), made.holding("10.0.0.1", "ada"):
        raise ZeroDivisionError
    assert nothing_is_held(made)
