"""The machine: which core does what, and what /proc says of processes.

Linux only: CPU time is read from `/proc/<pid>/task/<tid>/schedstat` (nanoseconds; see the kernel's
Documentation/scheduler/sched-stats.rst), memory from `/proc/<pid>/smaps_rollup`.
"""

import contextlib
import os
import platform
import resource
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

SERVER_CORE = 0
"""The server that is measured, and Redis beside it."""

CLIENT_CORE = 1
"""The load client, and PostgreSQL."""

OPEN_FILES = 65_536

_PROC = Path("/proc")


def prepare() -> None:
    """Leave the server's core, and allow as many open files as 15,000 connections need.

    Raises:
        RuntimeError: the machine cannot run the benchmark; the text says why.
    """
    cores = os.sched_getaffinity(0)
    if not {SERVER_CORE, CLIENT_CORE} <= cores:
        raise RuntimeError(f"The benchmark needs cores {SERVER_CORE} and {CLIENT_CORE}; there are {sorted(cores)}.")
    os.sched_setaffinity(0, {CLIENT_CORE})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    if wanted < 20_000:
        raise RuntimeError(f"Only {wanted} open files are allowed: raise `ulimit -Hn` to 20000.")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def family(pids: Iterable[int]) -> list[int]:
    """`pids` and all that descends from them."""
    children: dict[int, list[int]] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
    found, left = [], list(pids)
    while left:
        found.append(left.pop())
        left += children.get(found[-1], [])
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that the living threads of `pids` have used."""
    nanoseconds = 0
    for pid in pids:
        for schedstat in _PROC.glob(f"{pid}/task/*/schedstat"):
            with contextlib.suppress(OSError):
                nanoseconds += int(schedstat.read_text().split()[0])
    return nanoseconds / 1e9


def memory_kib(pids: Iterable[int]) -> int:
    """Proportional set size of `pids`: what forked processes share counts once."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total


def pin(pids: Iterable[int], core: int) -> None:
    """Keep `pids`, and what they will start, on `core`."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(pid, {core})


def eventually(seconds: float) -> Iterator[None]:
    """Come round until `seconds` are over, with a short rest in between."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.05)


def description() -> str:
    """CPU, cores, kernel and Python, in one line."""
    model = "unknown CPU"
    for line in (_PROC / "cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
