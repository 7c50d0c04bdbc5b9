"""How many HTTP connections an address and the whole process may hold, from the moment they are accepted.

A connection that becomes a WebSocket or an event stream leaves this count, and is in that of the realtime connections
(`gateway.realtime.connection_limits`), where users are told apart too. Long polls count in both.
"""

from collections import Counter

from gateway.realtime.connection_limits import network_of
from gateway.settings import Settings


class OpenConnections:
    """Counts connections.

    Args:
        per_address: most connections from one address, or /64 of IPv6 (`network_of`), that is not a trusted proxy's.
        in_total: most connections of this process.
    """

    def __init__(self, *, per_address: int, in_total: int) -> None:
        self._per_address = per_address
        self._in_total = in_total
        self._networks: Counter[str] = Counter()
        self.open = 0
        """How many there are."""

    @classmethod
    def of(cls, settings: Settings) -> "OpenConnections":
        """Within the settings' bounds."""
        return cls(per_address=settings.http_connections_per_address, in_total=settings.http_connections)

    def take(self, host: str, *, is_proxy: bool) -> bool:
        """Count one connection from `host` until `release`, if there is room; a proxy's stand for many clients."""
        network = network_of(host)
        if self.open >= self._in_total or (not is_proxy and self._networks[network] >= self._per_address):
            return False
        self._networks[network] += 1
        self.open += 1
        return True

    def release(self, host: str) -> None:
        """Undo `take`."""
        self.open -= 1
        network = network_of(host)
        self._networks[network] -= 1
        if not self._networks[network]:
            del self._networks[network]
