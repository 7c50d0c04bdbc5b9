"""The demo's PostgreSQL and Valkey, which the tests also kill, freeze and ask."""

import contextlib
import signal

import psutil

from gateway.demo import servers
from gateway.demo.servers import Server, free_port

__all__ = ["Postgres", "Valkey", "free_port"]


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


class Postgres(_Harmed, servers.Postgres):
    """PostgreSQL."""

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run `sql` as the superuser and return what it prints."""
        done = self.psql(sql, database)
        if done.returncode != 0:
            raise RuntimeError(f"{sql}\n{done.stderr}")
        return done.stdout.strip()
