"""How many realtime connections a user, an address and the whole process may hold, over all transports."""

import contextlib
import ipaddress
from collections import Counter
from collections.abc import Iterator

MAX_REFUSED = 100
"""Most connections past the limits that are told so and may answer, over all addresses; the next ones are dropped."""


class TooManyConnections(Exception):
    """The user, the address or the process holds as many as it may; `kind` says which."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"too many connections of this {kind}")
        self.kind = kind


class ConnectionLimits:
    """Counts connections.

    Args:
        per_user: most connections of one user.
        per_address: most connections from one network address (a proxy's clients are told apart by
            `FORWARDED_ALLOW_IPS`).
        in_total: most connections of this process.
    """

    def __init__(self, *, per_user: int, per_address: int, in_total: int) -> None:
        self._per_user = per_user
        self._per_address = per_address
        self._in_total = in_total
        self._users: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self.open = 0
        """How many connections this process holds."""
        self._refused = 0

    def acquire_address(self, host: str) -> None:
        """Count one connection from `host`, until `release_address`.

        Raises:
            TooManyConnections: nothing was counted.
        """
        if self.open >= self._in_total:
            raise TooManyConnections("process")
        _take(self._addresses, network_of(host), self._per_address, "address")
        self.open += 1

    def release_address(self, host: str) -> None:
        """Undo `acquire_address`."""
        _release(self._addresses, network_of(host))
        self.open -= 1

    def acquire_refused(self) -> bool:
        """Count a connection that was refused and is still there, until `release_refused`; whether there is room."""
        if self._refused >= MAX_REFUSED:
            return False
        self._refused += 1
        return True

    def release_refused(self) -> None:
        """Undo `acquire_refused`."""
        self._refused -= 1

    def acquire_user(self, user_id: str) -> None:
        """Count one connection of the user, until `release_user`.

        Raises:
            TooManyConnections: nothing was counted.
        """
        _take(self._users, user_id, self._per_user, "user")

    def release_user(self, user_id: str) -> None:
        """Undo `acquire_user`."""
        _release(self._users, user_id)

    def acquire(self, host: str, user_id: str) -> None:
        """Count one connection of the user from `host`, until `release`.

        Raises:
            TooManyConnections: nothing was counted.
        """
        self.acquire_address(host)
        try:
            self.acquire_user(user_id)
        except TooManyConnections:
            self.release_address(host)
            raise

    def release(self, host: str, user_id: str) -> None:
        """Undo `acquire`."""
        self.release_user(user_id)
        self.release_address(host)

    @contextlib.contextmanager
    def holding(self, host: str, user_id: str) -> Iterator[None]:
        """Count one connection of the user from `host` during the block.

        Raises:
            TooManyConnections: nothing was counted.
        """
        self.acquire(host, user_id)
        try:
            yield
        finally:
            self.release(host, user_id)


def network_of(host: str) -> str:
    """Whom an address belongs to: itself, or in IPv6 the /64 that one customer has to choose from (RFC 6177)."""
    if ":" not in host:
        return host
    try:
        return str(ipaddress.ip_network(f"{host.partition('%')[0]}/64", strict=False))
    except ValueError:
        return host


def _take(counted: Counter[str], name: str, most: int, kind: str) -> None:
    if counted[name] >= most:
        raise TooManyConnections(kind)
    counted[name] += 1


def _release(counted: Counter[str], name: str) -> None:
    counted[name] -= 1
    if not counted[name]:
        del counted[name]
