"""How much of bodies this process holds whose senders have not proved yet that they may send any."""

MAX_HELD = 64 * 1024 * 1024
"""Most bytes of such bodies together; past it they are refused until others have gone."""

UNCOUNTED = 4096
"""As much of each body counts nothing: small ones, as nearly all callbacks are, never wait for large ones."""


class BodyBudget:
    """Counts bytes."""

    def __init__(self) -> None:
        self.held = 0
        """How many count now."""

    def hold(self, length: int, counted: int) -> int | None:
        """Count a body of `length` bytes so far, of which `counted` do already; how many do then. None: no room."""
        more = max(0, length - UNCOUNTED) - counted
        if self.held + more > MAX_HELD:
            return None
        self.held += more
        return counted + more

    def release(self, counted: int) -> None:
        """The body is gone, or its sender has proved good."""
        self.held -= counted
