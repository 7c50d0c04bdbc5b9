"""How many realtime connections a user, an address and the whole process may hold, over all transports."""

import contextlib
from collections import Counter
from collections.abc import Iterator


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
        self._limits = {"user": per_user, "address": per_address, "process": in_total}
        self._held: Counter[tuple[str, str]] = Counter()

    @property
    def held(self) -> int:
        """How many connections this process holds."""
        return self._held[("process", "")]

    @contextlib.contextmanager
    def address(self, host: str) -> Iterator[None]:
        """Hold one connection from `host` during the block.

        Raises:
            TooManyConnections: before anything was counted.
        """
        with self._one("process", ""), self._one("address", host):
            yield

    @contextlib.contextmanager
    def user(self, user_id: str) -> Iterator[None]:
        """Hold one connection of `user_id` during the block.

        Raises:
            TooManyConnections: before anything was counted.
        """
        with self._one("user", user_id):
            yield

    @contextlib.contextmanager
    def _one(self, kind: str, name: str) -> Iterator[None]:
        key = (kind, name)
        if self._held[key] >= self._limits[kind]:
            raise TooManyConnections(kind)
        self._held[key] += 1
        try:
            yield
        finally:
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]
