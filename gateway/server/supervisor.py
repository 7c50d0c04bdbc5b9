"""Several server processes on one socket: started, watched, replaced and stopped.

The processes are workers to their supervisor, and none of them is any other's affair: one that dies is started again,
after a pause that grows while it does not get as far as serving. Only when none has ever served does the supervisor
give up, and then its status says so. Workers whose supervisor is gone stop by themselves.

Signals: TERM and INT stop everything, HUP replaces every worker by a new one without a gap, TTIN and TTOU add and
remove one.
"""

import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from types import FrameType

import structlog

from gateway.server.descriptors import provide_descriptors
from gateway.server.server import GatewayServer, server_config
from gateway.settings import Settings
from gateway.telemetry import metrics

log = structlog.get_logger(__name__)

WORKER_SECONDS = 30.0
"""How long a worker may show no sign of life before it is replaced: a busy machine needs its time."""

MAX_PAUSE_SECONDS = 30.0
"""Longest pause before a worker that fails again and again is started once more; the first is one second."""

LOOK_SECONDS = 0.2
"""How often the supervisor looks whether there is something to do that nothing woke it for."""

_STOP = ("SIGTERM", "SIGINT")
_SIGNALS = tuple(name for name in (*_STOP, "SIGHUP", "SIGTTIN", "SIGTTOU") if hasattr(signal, name))  # not on Windows

_spawning = multiprocessing.get_context("spawn")


class _Worker:
    """A server process, as its supervisor sees it."""

    def __init__(self, factory: str, settings: Settings, listener: socket.socket) -> None:
        self._beats, theirs = _spawning.Pipe(duplex=False)
        self.process = _spawning.Process(target=_work, args=(factory, settings, listener, theirs))
        self.process.start()
        theirs.close()
        self._heard_at = time.monotonic()
        self.serves = False
        self.has_served = False

    @property
    def pid(self) -> int | None:
        return self.process.pid

    @property
    def wakes(self) -> tuple[int, Connection]:
        """What becomes ready when there is something to see."""
        return self.process.sentinel, self._beats

    def look(self) -> bool:
        """Take its signs of life, and kill it when there are none; whether it is alive."""
        try:
            while self._beats.poll():
                self.serves = self._beats.recv()
                self._heard_at = time.monotonic()
        except (EOFError, OSError):
            pass  # it has ended, or is just about to
        if time.monotonic() - self._heard_at > WORKER_SECONDS:
            log.error("worker_hangs", pid=self.pid)
            self.process.kill()
            self.process.join()
        return self.process.is_alive()

    def stop(self) -> None:
        """Ask it to end."""
        self.process.terminate()

    def forget(self) -> None:
        """It has ended: nothing of it counts or is kept any more."""
        self.process.join()
        if self.pid is not None:
            metrics.forget_process(self.pid)
        if self.process.exitcode not in (0, -signal.SIGTERM):
            log.error("worker_died", pid=self.pid, exitcode=self.process.exitcode)
        self._beats.close()


class Supervisor:
    """Keeps `workers` processes serving what `factory` makes.

    Args:
        factory: ``module:function``, called in each process.
        settings: theirs, and ours.
        listener: the socket that they share.
        workers: how many.
    """

    def __init__(self, factory: str, settings: Settings, listener: socket.socket, workers: int) -> None:
        self._factory = factory
        self._settings = settings
        self._listener = listener
        self._wanted = workers
        self._workers: list[_Worker] = []
        self._leaving: list[_Worker] = []
        self._signals: list[str] = []
        self._stopping = False
        self._failures = 0
        """How often in a row a worker has ended before it served."""
        self._pause_until = 0.0
        self._has_served = False

    def run(self) -> int:
        """Supervise until a signal says to stop; the status to exit with."""
        before = {name: signal.signal(signal.Signals[name], self._on_signal) for name in _SIGNALS}
        try:
            while not self._stopping and not self._is_hopeless():
                self._fill_up()
                self._look()
                self._obey()
            self._stop_all()
        finally:
            for name, handler in before.items():
                signal.signal(signal.Signals[name], handler)
        if self._stopping:
            return 0
        log.error("no_worker_can_serve", attempts=self._failures)
        return 1

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(signal.Signals(number).name)

    def _is_hopeless(self) -> bool:
        return not self._has_served and self._failures >= self._wanted

    def _look(self) -> None:
        """Wait for something to happen, and see to whoever has ended."""
        wait([wake for worker in (*self._workers, *self._leaving) for wake in worker.wakes], LOOK_SECONDS)
        for worker in tuple(self._workers):
            if not worker.look():
                self._workers.remove(worker)
                worker.forget()
                if not worker.serves:
                    self._pause()
            elif worker.serves and not worker.has_served:
                worker.has_served = self._has_served = True
                self._failures = 0
        for worker in tuple(self._leaving):
            if not worker.look():
                self._leaving.remove(worker)
                worker.forget()

    def _pause(self) -> None:
        self._failures += 1
        seconds = min(MAX_PAUSE_SECONDS, 2.0 ** min(self._failures - 1, 10))
        self._pause_until = time.monotonic() + seconds
        log.warning("worker_not_started", failures=self._failures, next_in_seconds=seconds)

    def _fill_up(self) -> None:
        while len(self._workers) < self._wanted and time.monotonic() >= self._pause_until and not self._is_hopeless():
            self._workers.append(self._new())

    def _new(self) -> _Worker:
        return _Worker(self._factory, self._settings, self._listener)

    def _obey(self) -> None:
        while self._signals:
            match self._signals.pop(0):
                case "SIGTERM" | "SIGINT":
                    self._stopping = True
                case "SIGHUP":
                    self._replace_all()
                case "SIGTTIN":
                    self._wanted += 1
                case "SIGTTOU" if self._wanted > 1:
                    self._wanted -= 1
                    if len(self._workers) > self._wanted:
                        self._leave(self._workers.pop())

    def _replace_all(self) -> None:
        """Start a new worker for each, and let the old one go once the new one serves."""
        for old in tuple(self._workers):
            new = self._new()
            self._leaving.append(new)  # where it is looked after, but not replaced
            self._until(lambda new=new: new.serves or not new.process.is_alive())  # type: ignore[misc]
            if not new.serves or new not in self._leaving:  # it may have served and ended between two looks
                log.error("worker_not_replaced", pid=old.pid)
                new.stop()
                return
            self._leaving.remove(new)
            self._workers.append(new)
            if old in self._workers:
                self._workers.remove(old)
                self._leave(old)
            if not self._until(lambda old=old: old not in self._leaving):  # type: ignore[misc]
                return

    def _leave(self, worker: _Worker) -> None:
        worker.stop()
        self._leaving.append(worker)

    def _until(self, condition: Callable[[], bool]) -> bool:
        """Go on looking until `condition`; False if everything is to stop instead."""
        while not condition():
            if any(name in self._signals for name in _STOP):
                return False
            self._look()
            self._fill_up()
        return True

    def _stop_all(self) -> None:
        while self._workers:
            self._leave(self._workers.pop())
        while self._leaving:
            self._look()


def serve_in_processes(settings: Settings, listener: socket.socket, workers: int, *, factory: str) -> None:
    """Serve what `factory` (``module:function``) makes from the environment in `workers` processes on `listener`.

    Raises:
        NoMetricsFolder: there is no place for what they count.
        SystemExit: no worker could serve.
    """
    provide_descriptors(settings)  # the workers inherit the limit
    with metrics.shared_between_processes():
        status = Supervisor(factory, settings, listener, workers).run()
    if status:
        sys.exit(status)


def _work(factory: str, settings: Settings, listener: socket.socket, beats: Connection) -> None:
    """Serve in this process, a worker's."""

    def beat(serves: bool) -> bool:
        try:
            beats.send(serves)
        except OSError:  # the supervisor is gone
            return False
        return True

    GatewayServer(server_config(factory, settings), beat).run(sockets=[listener])
