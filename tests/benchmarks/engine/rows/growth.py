"""The same server with more and more connections."""

from tests.benchmarks.engine.options import Options
from tests.benchmarks.engine.stand import WARM_UP_CONNECTIONS, Measured, Stand, check_open


def measure(stand: Stand, options: Options) -> list[Measured]:
    """For each number of connections: memory of each, CPU of opening one more, and delivery at a rate that stays."""
    assert stand.client is not None
    stand.client.ask(f"open {WARM_UP_CONNECTIONS} own")
    stand.client.ask("close")
    base, before, results = stand.memory(), 0, []
    for count in options.growth:
        opened = stand.measured(f"open {count} own")
        check_open(opened, count)
        kib = (stand.memory() - base) / count
        delivered = stand.publish(options.growth_rate, options.step_seconds, count)
        connect_us = opened["server_cpu"] / (count - before) * 1e6
        results.append({"connections": count, "kib": kib, "connect_us": connect_us, **delivered})
        before = count
    return results
