"""CPU time of what is measured, each part apart, and what the rest of the machine did meanwhile."""

import os
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.engine import machine

_TICKS = os.sysconf("SC_CLK_TCK")


class Meter:
    """Two readings, and what lies between them.

    Args:
        parts: process ids by the name under which their CPU time is reported.
    """

    def __init__(self, parts: Mapping[str, list[int]]) -> None:
        self._parts = parts
        self._before = self._cpu()
        self._ours = _our_seconds()
        self._busy = _busy_seconds()
        self._began = time.monotonic()

    def _cpu(self) -> dict[str, float]:
        return {name: machine.cpu_seconds(pids) for name, pids in self._parts.items()}

    def read(self) -> dict[str, Any]:
        """`<name>_cpu` of each part in seconds, and `others`: the share of both cores that somebody else used."""
        took = time.monotonic() - self._began
        spent: dict[str, Any] = {f"{name}_cpu": now - self._before[name] for name, now in self._cpu().items()}
        foreign = (_busy_seconds() - self._busy) - (_our_seconds() - self._ours)
        spent["others"] = max(0.0, foreign / (2 * took))
        return spent


def per_operation(result: dict[str, Any], operations: int) -> None:
    """Add to each `<name>_cpu` a `<name>_us`: microseconds for each of `operations`."""
    for name in ("server", "redis", "postgres"):
        result[f"{name}_us"] = result[f"{name}_cpu"] / max(1, operations) * 1e6


def _our_seconds() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return machine.cpu_seconds(machine.family([os.getpid()])) + ended.ru_utime + ended.ru_stime


def _busy_seconds() -> float:
    """Time in which the two cores were not idle (proc_stat(5)), stolen time included."""
    busy = 0
    names = {f"cpu{machine.SERVER_CORE}", f"cpu{machine.CLIENT_CORE}"}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *counts = line.split()
        if name in names:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, counts[:8])
            busy += user + nice + system + irq + softirq + steal
    return busy / _TICKS
