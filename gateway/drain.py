"""The orderly end of a process: when it began to stop, and what is left of the time for it."""

import time
from collections.abc import Callable


class Drain:
    """Begins once; whoever has something to end registers with `on_begin`.

    Args:
        seconds: how long what is under way may take to end (`DRAIN_SECONDS`).
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until: float | None = None
        self._callbacks: list[Callable[[], None]] = []

    def on_begin(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the process begins to stop. It must neither block nor raise."""
        self._callbacks.append(callback)

    @property
    def begun(self) -> bool:
        """Whether this process is stopping."""
        return self._until is not None

    def seconds_left(self) -> float:
        """What is left of `seconds`; all of them before the process stops."""
        return self.seconds if self._until is None else max(0.0, self._until - time.monotonic())

    def begin(self) -> None:
        """Not ready any more, nothing new is claimed, and every client is asked to go elsewhere."""
        if self._until is None:
            self._until = time.monotonic() + self.seconds
            for callback in self._callbacks:
                callback()
