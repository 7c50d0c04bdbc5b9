"""The highest rate at which messages still arrive in time, and how it is at half of it for a while."""

from collections.abc import Callable

from tests.benchmarks.engine.stand import Measured, Stand

P99_US = 50_000
"""Above it, a rate counts as too high."""

COALESCED = 0.01
"""Share of messages that may be overtaken by a newer one of the same request."""

RATES = (1000, 2000, 5000, 10_000, 15_000, 20_000, 30_000, 45_000, 60_000, 80_000, 110_000, 150_000)
BISECTIONS = 2
ATTEMPTS = 2
"""How often a rate is tried: a neighbour on the machine may spoil one."""

STARTING_RATE = 200


def is_sustained(result: Measured) -> bool:
    """Whether everything arrived, once, in order and in time."""
    wrong = ("missed", "duplicated", "reordered", "misdelivered", "refused", "closed")
    return (
        not any(result[name] for name in wrong)
        and result["coalesced"] <= COALESCED * result["sent"]
        and result["p99_us"] < P99_US
    )


def _search(sustained: Callable[[float], bool]) -> None:
    good, bad = 0.0, 0.0
    for rate in RATES:
        if not sustained(rate):
            bad = rate
            break
        good = rate
    if not bad:
        return
    for _ in range(BISECTIONS):
        middle = (max(good, bad / 4) * bad) ** 0.5 // 100 * 100
        if sustained(middle):
            good = middle
        else:
            bad = middle


def highest_rate(stand: Stand, connections: int, seconds: float) -> Measured:
    """The measurement of the highest sustained rate; the first failing one is added as `limit`.

    Raises:
        RuntimeError: not even the lowest rate is sustained.
    """
    best: Measured = {}
    limit: Measured = {}
    stand.publish(STARTING_RATE, 1, connections)

    def sustained(rate: float) -> bool:
        nonlocal best, limit
        for _ in range(ATTEMPTS):
            result = stand.publish(rate, seconds, connections)
            if is_sustained(result):
                best = result
                return True
            limit = result
        return False

    _search(sustained)
    if not best:
        raise RuntimeError(f"no rate is sustained: {limit}")
    return {**best, "limit": limit}


def steady(stand: Stand, connections: int, seconds: float, highest: float) -> Measured:
    """Half the highest rate for `seconds`, with the memory before and after."""
    before = stand.memory()
    result = stand.publish(max(1, highest // 2), seconds, connections)
    return {**result, "grown_kib": stand.memory() - before}
