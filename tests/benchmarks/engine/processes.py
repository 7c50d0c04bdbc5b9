"""Child processes on a core of their own, none of which outlives the benchmark."""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.engine import machine

START_SECONDS = 20.0
STOP_SECONDS = 5.0


class NotStarted(Exception):
    """A peer did not come up; the text is the end of its output."""


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """A small environment: no setting of the one who runs the benchmark reaches a server."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, **extra}


class Process:
    """A running child with all its descendants.

    `setpriv` has the kernel kill it should the benchmark itself be killed; `taskset` keeps it on its core.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        core: int | str,
        folder: Path,
        extra: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.log = folder / f"{Path(command[0]).name}.log"
        with self.log.open("ab") as log:
            self.popen: subprocess.Popen[str] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(core), *map(str, command)],
                cwd=folder,
                env=environment(extra or {}),
                text=True,
                start_new_session=True,
                **{"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, **options},
            )

    def pids(self) -> list[int]:
        return machine.family([self.popen.pid])

    def wait_for_port(self, port: int) -> None:
        """Return once `port` accepts connections.

        Raises:
            NotStarted: it ended first, or took longer than `START_SECONDS`.
        """
        for _ in machine.eventually(START_SECONDS):
            if self.popen.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        raise NotStarted(self.log.read_text(errors="replace")[-1500:] or f"nothing listens on port {port}")

    def stop(self) -> None:
        """Ask it to end, then end it and whatever it started."""
        pids = self.pids() if self.popen.poll() is None else []
        if pids:
            self.popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(STOP_SECONDS)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
