"""How long and with how many: the whole table, or a quick look whether everything works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """The size of a run. The defaults are those of the table.

    Args:
        connections: of each realtime row.
        step_seconds: of each rate that is tried.
        steady_seconds: at half the highest rate.
        http_seconds: of each HTTP row, after a warm-up.
        chain_rates: callbacks a second.
        chain_subscribers: connections that watch.
        growth: numbers of connections, rising.
        reported: requests that callbacks can be for.
    """

    connections: int = 5000
    step_seconds: float = 3
    steady_seconds: float = 60
    http_seconds: int = 5
    warm_up_seconds: int = 1
    chain_rates: tuple[int, ...] = (300, 600, 1000, 2000)
    chain_subscribers: int = 1000
    chain_seconds: float = 6
    growth: tuple[int, ...] = (1000, 5000, 10_000, 15_000)
    growth_rate: int = 1000
    reported: int = 60_000

    @property
    def users(self) -> int:
        """How many users have a token and a row."""
        return max(self.connections, self.chain_subscribers, *self.growth)


QUICK = Options(
    connections=500,
    step_seconds=1,
    steady_seconds=5,
    http_seconds=2,
    chain_subscribers=500,
    chain_seconds=2,
    growth=(250, 500),
    growth_rate=300,
    reported=20_000,
)
