"""The demo's PostgreSQL and Valkey, which the tests also kill, freeze and ask."""

import contextlib
import shutil
import signal
import subprocess
import time

import psutil

from gateway.demo import servers
from gateway.demo.servers import Server, free_port

__all__ = ["SERVICE", "Postgres", "Replica", "Sentinel", "Standby", "Valkey", "free_port"]


class _Harmed(Server):
    """A server to which everything may happen."""

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

    def stop(self) -> None:
        """Nothing of it is needed again."""
        self.kill()

    def freeze(self) -> None:
        for member in self._family():
            member.suspend()

    def thaw(self) -> None:
        for member in self._family():
            member.resume()


class Valkey(_Harmed, servers.Valkey):
    """Valkey."""


class Replica(Valkey):
    """A replica of `primary`, or of nothing that answers."""

    def __init__(self, primary: Valkey | None = None) -> None:
        super().__init__()
        self.of = free_port() if primary is None else primary.port

    def command(self) -> list[str]:
        return [*super().command(), "--replicaof", "127.0.0.1", str(self.of), "--repl-diskless-sync-delay", "0"]


SERVICE = "gateway-tests"


class Sentinel(Valkey):
    """A Sentinel that alone decides about `primary`, or that watches nothing."""

    def __init__(self, primary: Valkey | None = None) -> None:
        super().__init__()
        self.lines = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}"]
        if primary is not None:
            self.lines += [
                f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 1",
                f"sentinel down-after-milliseconds {SERVICE} 500",
                f"sentinel failover-timeout {SERVICE} 2000",
            ]

    @property
    def service_url(self) -> str:
        """For `REDIS_URL`, behind one Sentinel that never answers."""
        return f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{self.port}/{SERVICE}"

    def command(self) -> list[str]:
        configuration = self.folder / "sentinel.conf"
        configuration.write_text("\n".join([*self.lines, ""]))
        return [super().command()[0], str(configuration), "--sentinel"]


class Postgres(_Harmed, servers.Postgres):
    """PostgreSQL."""

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run `sql` as the superuser and return what it prints."""
        done = self.psql(sql, database)
        if done.returncode != 0:
            raise RuntimeError(f"{sql}\n{done.stderr}")
        return done.stdout.strip()

    def fence(self) -> None:
        """Let it take no writes any more, in sessions that are open too."""
        self.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        self.execute("SELECT pg_reload_conf()")
        # The server tells the sessions that are open before it starts one that knows already.
        deadline = time.monotonic() + 30
        while self.execute("SHOW default_transaction_read_only") != "on":
            assert time.monotonic() < deadline, "the server does not read its settings again"


class Standby(Postgres):
    """A hot standby of another server, until it is promoted."""

    def __init__(self, primary: Postgres) -> None:
        super().__init__()
        shutil.rmtree(self.data)
        program = str(self.programs / "pg_basebackup")
        command = [program, "-R", "-X", "stream", "-c", "fast", "-D", str(self.data), "-d", primary.url("")]
        subprocess.run(command, check=True, capture_output=True, **self.options())

    def promote(self) -> None:
        """Let it take writes."""
        self.execute("SELECT pg_promote()")
