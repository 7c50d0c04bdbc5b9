"""One row after another, one peer after another; who cannot be measured is named."""

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from tests.benchmarks.engine import machine
from tests.benchmarks.engine.installation import Unavailable
from tests.benchmarks.engine.options import Options
from tests.benchmarks.engine.peers import EVENTS, HTTP, REALTIME, Start, brokers, gateway
from tests.benchmarks.engine.processes import NotStarted
from tests.benchmarks.engine.results import Result
from tests.benchmarks.engine.rows import chain, growth, http, realtime
from tests.benchmarks.engine.rows.delivery import highest_rate, steady
from tests.benchmarks.engine.stand import Measured, Stand, stand
from tests.benchmarks.engine.world import World

ON_ONE_STAND = ("memory", "connect", "delivery", "steady", "reconnect", "broadcast")
ROWS = (*ON_ONE_STAND, "floor", "events", "growth", "events-growth", "processes", *http.ROWS, "chain")
"""All rows, in the order in which they are measured."""

PROCESSES = 2

Measure = Callable[[Stand, Options], list[Measured]]

_EXPECTED = (Unavailable, NotStarted, RuntimeError, OSError, subprocess.SubprocessError)


class Run:
    """The chosen rows of the chosen peers.

    Args:
        world: users, rows, tokens.
        options: how long and with how many.
        peers: names, as in `peers.LABELS`.
        rows: names out of `ROWS`.
    """

    def __init__(self, world: World, options: Options, peers: Sequence[str], rows: Sequence[str]) -> None:
        self._world = world
        self._options = options
        self._peers = peers
        self._rows = rows

    def results(self) -> Iterator[Result]:
        """Each result as soon as it is there."""
        shared = [row for row in ON_ONE_STAND if row in self._rows]
        if shared:
            for name, start in self._chosen(REALTIME):
                yield from self._realtime(name, start, shared)
        if "floor" in self._rows:
            yield from self._realtime("floor", brokers.floor, ["delivery", "broadcast"])
        for row, peers in (("events", EVENTS), ("growth", REALTIME), ("events-growth", EVENTS)):
            if row in self._rows:
                for name, start in self._chosen(peers):
                    yield from self._on_own_stand(row, name, start, _MEASURES[row])
        if "gateway" in self._peers and "processes" in self._rows:
            cores = f"{machine.SERVER_CORE},{machine.CLIENT_CORE}"
            measure = _MEASURES["processes"]
            yield from self._on_own_stand(
                "processes", "gateway", gateway.websocket, measure, processes=PROCESSES, cores=cores
            )
        for row in http.ROWS:
            if row in self._rows:
                for name, start in self._chosen(HTTP):
                    yield from self._on_own_stand(row, name, start, partial(http.measure, row))
        if "gateway" in self._peers and "chain" in self._rows:
            yield from self._on_own_stand("chain", "gateway", gateway.chain, chain.measure)

    def _chosen(self, peers: Mapping[str, Start]) -> Iterator[tuple[str, Start]]:
        return ((name, start) for name, start in peers.items() if name in self._peers)

    def _realtime(self, peer: str, start: Start, rows: list[str]) -> Iterator[Result]:
        left = list(rows)
        try:
            with stand(start, self._world) as on:
                for row, measured in realtime.measure(on, self._options, rows):
                    yield _attempt(row, peer, measured)
                    left.remove(row)
        except _EXPECTED as error:
            for row in left:
                yield Result(row, peer, error=_reason(error))

    def _on_own_stand(self, row: str, peer: str, start: Start, measure: Measure, **how: Any) -> Iterator[Result]:
        try:
            with stand(start, self._world, **how) as on:
                for values in measure(on, self._options):
                    yield Result(row, peer, _variant(row, values), values)
        except _EXPECTED as error:
            yield Result(row, peer, error=_reason(error))


def _attempt(row: str, peer: str, measured: Callable[[], Measured]) -> Result:
    try:
        return Result(row, peer, values=measured())
    except _EXPECTED as error:
        return Result(row, peer, error=_reason(error))


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _variant(row: str, values: Measured) -> str:
    if row in ("growth", "events-growth"):
        return f"{values['connections']:,} connections"
    if row == "chain":
        return f"{values['offered']:,}/s"
    return str(values.pop("variant", ""))


def _highest_of_own(on: Stand, options: Options) -> list[Measured]:
    opened = on.open(options.connections)
    highest = highest_rate(on, options.connections, options.step_seconds)
    return [{**highest, "kib": opened["kib"], "connect_us": opened["server_us"]}]


def _events(on: Stand, options: Options) -> list[Measured]:
    (highest,) = _highest_of_own(on, options)
    minute = steady(on, options.connections, options.steady_seconds, highest["offered"])
    return [{**highest, **{f"steady_{name}": value for name, value in minute.items()}}]


_MEASURES: Mapping[str, Measure] = {
    "events": _events,
    "processes": _highest_of_own,
    "growth": growth.measure,
    "events-growth": growth.measure,
}
