"""Tallies: metrics of what happens at every delivery, without a lock each time.

prometheus-client takes a lock (and with several processes writes into a shared file) whenever a value changes. A tally
counts in plain integers of the event loop's thread and is folded into its metric by `flush_tallies`: before a
scrape of this process, and at every heartbeat for scrapes that meet another one. Make each once, at import.
"""

import time
from bisect import bisect_left
from typing import Protocol

from prometheus_client import Counter, Histogram


class Flushable(Protocol):
    """What counts in memory first."""

    def flush(self) -> None:
        """Fold what was counted into the metric, and begin anew."""


_TALLIES: list[Flushable] = []


class Tally:
    """Adds to a counter, or to one label's child of it: ``tally.n += 1``."""

    __slots__ = ("_counter", "n")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.n = 0
        _TALLIES.append(self)

    def flush(self) -> None:
        n, self.n = self.n, 0
        if n:
            self._counter.inc(n)


class HistogramTally:
    """Adds to a histogram without labels."""

    __slots__ = ("_bounds", "_counts", "_histogram", "_sum")

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._bounds: list[float] = histogram._upper_bounds
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0
        _TALLIES.append(self)

    def observe(self, value: float, times: int = 1) -> None:
        """Count `value`, as often as it came."""
        self._counts[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def observe_since(self, at: float) -> None:
        """Count the seconds since `at`, in Unix time; what lies ahead of this clock is no time at all."""
        seconds = time.time() - at
        self.observe(seconds if seconds > 0 else 0.0)

    def flush(self) -> None:
        # prometheus-client has no public way to observe more than one value at once.
        for bucket, count in zip(self._histogram._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        self._histogram._sum.inc(self._sum)
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0


def flush_tallies() -> None:
    """Fold every tally into its metric."""
    for tally in _TALLIES:
        tally.flush()
