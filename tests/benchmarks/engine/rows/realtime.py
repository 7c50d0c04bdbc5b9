"""What is measured on one server and its connections: opening, delivery, a steady minute, reconnecting, broadcast."""

from collections.abc import Callable, Iterator, Mapping

from tests.benchmarks.engine.metering import per_operation
from tests.benchmarks.engine.options import Options
from tests.benchmarks.engine.rows.delivery import highest_rate, steady
from tests.benchmarks.engine.stand import Measured, Stand, check_open

AFTERWARDS_RATE = 500


class Realtime:
    """The rows of one stand, in an order in which none spoils the next."""

    def __init__(self, stand: Stand, options: Options) -> None:
        self._stand = stand
        self._options = options
        self._highest: Measured | None = None
        self.rows: Mapping[str, Callable[[], Measured]] = {
            "memory": lambda: self._stand.opening,
            "connect": lambda: self._stand.opening,
            "delivery": self.delivery,
            "steady": self.steady,
            "reconnect": self.reconnect,
            "broadcast": self.broadcast,
        }

    def delivery(self) -> Measured:
        """The highest rate to one connection each."""
        if self._highest is None:
            self._highest = highest_rate(self._stand, self._options.connections, self._options.step_seconds)
        return self._highest

    def steady(self) -> Measured:
        """Half of that, for longer."""
        options = self._options
        return steady(self._stand, options.connections, options.steady_seconds, self.delivery()["offered"])

    def reconnect(self) -> Measured:
        """All connections dropped at once, until all are subscribed again; then nothing may be missed."""
        count = self._options.connections
        result = self._stand.measured(f"reopen {count}")
        check_open(result, count)
        after = self._stand.publish(AFTERWARDS_RATE, 1, count)
        per_operation(result, count)
        return {**result, "missed_afterwards": after["missed"]}

    def broadcast(self) -> Measured:
        """One message to all."""
        client, count = self._stand.client, self._options.connections
        assert client is not None
        client.ask("close")
        check_open(client.ask(f"open {count} same"), count)
        return self._stand.broadcast(self._options.step_seconds)


def measure(stand: Stand, options: Options, rows: list[str]) -> Iterator[tuple[str, Callable[[], Measured]]]:
    """Each of `rows` with what measures it; the connections are open by then."""
    stand.open(options.connections)
    measuring = Realtime(stand, options)
    for name, measured in measuring.rows.items():
        if name in rows:
            yield name, measured
