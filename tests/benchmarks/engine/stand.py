"""A peer under load: its server and Redis on one core, the load client on the other."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.engine import machine
from tests.benchmarks.engine.load_client import LoadClient
from tests.benchmarks.engine.metering import Meter, per_operation
from tests.benchmarks.engine.peers import Place, Start
from tests.benchmarks.engine.processes import Process
from tests.benchmarks.engine.world import World, redis
from tests.servers import free_port

Measured = dict[str, Any]

SETTLE_SECONDS = 1.0
"""How long a server is left alone before its memory is read: what is being freed is no cost of a connection."""

WARM_UP_CONNECTIONS = 100


@dataclass(slots=True)
class Stand:
    """What is measured is always the difference between two readings, divided by what happened in between."""

    place: Place
    server: Process
    redis: Process
    client: LoadClient | None
    opening: Measured = field(default_factory=dict)

    def meter(self) -> Meter:
        """Start to count the CPU time of server, Redis and PostgreSQL."""
        return Meter({"server": self.server.pids(), "redis": self.redis.pids(), "postgres": self.place.world.pids()})

    def measured(self, command: str) -> Measured:
        """Have the client do something, and add the CPU time that server, Redis and PostgreSQL spent on it."""
        assert self.client is not None
        meter = self.meter()
        return {**self.client.ask(command), **meter.read()}

    def memory(self) -> int:
        """KiB of the server's processes, once it has come to rest."""
        time.sleep(SETTLE_SECONDS)
        return machine.memory_kib(self.server.pids())

    def open(self, count: int) -> Measured:
        """Open `count` connections, each to a channel of its own.

        The first hundred are opened and dropped before: what a server loads or allocates once belongs to nobody.

        Raises:
            RuntimeError: some were refused.
        """
        assert self.client is not None
        self.client.ask(f"open {min(WARM_UP_CONNECTIONS, count)} own")
        self.client.ask("close")
        memory = self.memory()
        result = self.measured(f"open {count} own")
        check_open(result, count)
        per_operation(result, count)
        result["kib"] = (self.memory() - memory) / count
        result["base_mib"] = memory / 1024
        self.opening = result
        return result

    def publish(self, rate: float, seconds: float, channels: int) -> Measured:
        """Publish at `rate`, and add the CPU time of each delivery in microseconds."""
        result = self.measured(f"publish {rate} {seconds} {channels}")
        per_operation(result, result["delivered"])
        result["offered"] = rate
        return result

    def broadcast(self, seconds: float) -> Measured:
        """Publish to all, the next one when everyone has the last."""
        result = self.measured(f"broadcast {seconds}")
        per_operation(result, result["delivered"])
        return result


def check_open(result: Measured, count: int) -> None:
    """Return if all are open.

    Raises:
        RuntimeError: they are not.
    """
    if result["open"] != count:
        raise RuntimeError(f"only {result['open']} of {count} connections were opened: {result}")


@contextlib.contextmanager
def stand(start: Start, world: World, *, processes: int = 1, cores: str | int = machine.SERVER_CORE) -> Iterator[Stand]:
    """Start a peer, Redis and the load client, and remove them at the end of the block.

    Raises:
        Unavailable, NotStarted: the peer cannot be measured here.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-benchmark-")))
        redis_port, redis_process = stack.enter_context(redis(folder))
        place = Place(
            port=free_port(),
            publish_port=free_port(),
            redis_port=redis_port,
            folder=folder,
            world=world,
            processes=processes,
        )
        serving = start(place)
        server = stack.enter_context(Process(serving.command, core=cores, folder=folder, extra=serving.environment))
        for port in (place.port, *serving.ports):
            server.wait_for_port(port)
        time.sleep(SETTLE_SECONDS)
        client = None
        if serving.client is not None:
            client = stack.enter_context(LoadClient(serving.client, place.port, folder))
        yield Stand(place, server, redis_process, client)
