"""The `gateway` command as a process of its own, with an environment of its own."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from gateway.settings import Settings
from tests.servers import free_port

SECONDS = 60.0


class GatewayProcess:
    """A running `gateway …` whose output is kept."""

    def __init__(self, *arguments: str, folder: Path, environment: Mapping[str, str], module: str = "gateway") -> None:
        self.folder = folder
        self.log = folder / f"{module}-{'-'.join(arguments[:1])}-{time.monotonic_ns()}.log"
        clean = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
        self._output = self.log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=folder,
            env={**clean, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, pattern: str) -> "re.Match[str]":
        """Wait until the output matches."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if match := re.search(pattern, self.output()):
                return match
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} was not printed (exit code {self.process.poll()}):\n{self.output()}")

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.terminate()
            if self.process.poll() is None:
                self.kill()
        self._output.close()


class ServingProcess(GatewayProcess):
    """`gateway serve` on `port`, or on a free one."""

    def __init__(
        self,
        *arguments: str,
        folder: Path,
        environment: Mapping[str, str],
        module: str = "gateway",
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__(
            "serve",
            "--port",
            str(self.port),
            *arguments,
            folder=folder,
            environment={"APP_URL": self.url, **environment},
            module=module,
        )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", trust_env=False).status_code == 200:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"not ready (exit code {self.process.poll()}):\n{self.output()}")


@contextlib.contextmanager
def closing_all(processes: list[GatewayProcess]) -> Iterator[list[GatewayProcess]]:
    """End every process in the list at the end of the block."""
    try:
        yield processes
    finally:
        for process in processes:
            process.close()
