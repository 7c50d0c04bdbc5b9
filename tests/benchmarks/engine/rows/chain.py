"""The whole way of an update: callback, row in PostgreSQL, bus, WebSocket."""

from tests.benchmarks.engine.options import Options
from tests.benchmarks.engine.stand import Measured, Stand

STARTING_RATE = 100


def measure(stand: Stand, options: Options) -> list[Measured]:
    """For each rate, latency from the moment at which the callback should have been sent."""
    stand.place.world.fresh()
    stand.open(options.chain_subscribers)
    stand.publish(STARTING_RATE, 1, options.chain_subscribers)
    return [stand.publish(rate, options.chain_seconds, options.chain_subscribers) for rate in options.chain_rates]
