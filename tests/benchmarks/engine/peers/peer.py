"""What is asked of a peer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.engine.load_client import Client
from tests.benchmarks.engine.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a peer is to run.

    Args:
        port: for clients.
        publish_port: for publishers, where they have a port of their own.
        redis_port: where Redis listens.
        folder: for its files; removed afterwards.
        world: users, requests and tokens.
        processes: how many server processes share the port.
    """

    port: int
    publish_port: int
    redis_port: int
    folder: Path
    world: World
    processes: int = 1

    def write(self, name: str, content: str) -> Path:
        """A file of the peer's."""
        file = self.folder / name
        file.write_text(content)
        return file


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How a peer is started, and how it is spoken to.

    Args:
        command: the server.
        environment: its variables.
        client: what its clients say; None where it has no connections that stay.
        ports: those that must be open before anything is measured, besides `Place.port`.
    """

    command: Sequence[str | Path]
    client: Client | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: Sequence[int] = ()
