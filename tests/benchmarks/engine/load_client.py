"""The load client in C (`native/load`), told by Python what to say and when."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.benchmarks.engine import installation, machine
from tests.benchmarks.engine.processes import Process


@dataclass(frozen=True, slots=True)
class Publisher:
    """How messages get into a peer.

    `connections` of 1 and `tcp` is a stream in which nothing is waited for; over `http`, each connection carries one
    request at a time.
    """

    over: Literal["tcp", "http"]
    port: int
    message: bytes
    connections: int = 1
    hello: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What a client of a peer says: its request, then `steps` to a whole subscription.

    Args:
        path: of the upgrade, or of the stream of events.
        headers: a file with one header line for each channel.
        steps: what is waited for (bytes), and what is sent (kind and bytes).
        replies: what a message is answered with, where a protocol asks for it.
        events: Server-Sent Events instead of WebSocket.
        by_progress: published by callbacks, and recognized by the progress that they reported.
        streams: whether a frame may end in the middle of a message.
        spins: whether the client has a core of its own, and may poll without sleeping.
    """

    path: str
    publisher: Publisher
    headers: Path | None = None
    steps: tuple[bytes | tuple[Literal["text", "binary"], bytes], ...] = ()
    replies: tuple[tuple[Literal["text", "binary"], bytes, bytes], ...] = ()
    events: bool = False
    by_progress: bool = False
    streams: bool = False
    spins: bool = True

    def configuration(self, port: int) -> str:
        """The file that `native/load/config.c` reads."""
        lines = [f"port {port}", f"path {self.path.encode().hex()}"]
        switches = {
            "events": self.events,
            "by-progress": self.by_progress,
            "streams": self.streams,
            "spins": self.spins,
        }
        lines += [name for name, on in switches.items() if on]
        if self.headers is not None:
            lines.append(f"headers {self.headers}")
        for step in self.steps:
            lines.append(f"wait {step.hex()}" if isinstance(step, bytes) else f"send {step[0]} {step[1].hex()}")
        lines += [f"reply {kind} {asked.hex()} {answer.hex()}" for kind, asked, answer in self.replies]
        publisher = self.publisher
        lines.append(f"publish-over {publisher.over} {publisher.port} {publisher.connections}")
        lines.append(f"publish {publisher.message.hex()}")
        if publisher.hello:
            lines.append(f"publish-hello {publisher.hello.hex()}")
        return "\n".join(lines) + "\n"


@dataclass(slots=True)
class LoadClient:
    """The running client."""

    client: Client
    port: int
    folder: Path
    _process: Process = field(init=False)

    def __enter__(self) -> "LoadClient":
        configuration = self.folder / "load.conf"
        configuration.write_text(self.client.configuration(self.port))
        command = [installation.native("load"), configuration]
        self._process = Process(
            command,
            core=machine.CLIENT_CORE,
            folder=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=1,
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._process.stop()

    def ask(self, command: str) -> dict[str, Any]:
        """Give a command and return what it measured.

        Raises:
            RuntimeError: the client ended; the text is what it said.
        """
        process = self._process.popen
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(command + "\n")
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"the load client ended at {command!r}: {self._process.log.read_text()[-500:]}")
        return dict(json.loads(line))
