"""Where the gateway's time goes in one kind of work: py-spy's samples, counted by function."""

import collections
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.engine import installation, machine
from tests.benchmarks.engine.options import Options
from tests.benchmarks.engine.peers import Start, gateway
from tests.benchmarks.engine.processes import Process
from tests.benchmarks.engine.rows.http import wrk
from tests.benchmarks.engine.stand import Stand, stand
from tests.benchmarks.engine.world import CALLBACK_SECRET, world

SAMPLES_PER_SECOND = 250
DELIVERY_RATE = 5000
SECONDS = 6
LINES = 30
EVERYWHERE = 0.995
WRITE_SECONDS = 30
"""How long py-spy may take to write down what it has seen."""


def _connect(on: Stand, options: Options) -> None:
    assert on.client is not None
    on.client.ask(f"open {options.connections} own")


def _deliver(on: Stand, options: Options) -> None:
    on.publish(DELIVERY_RATE, SECONDS, options.connections)


def _poll(on: Stand, options: Options) -> None:
    wrk(on, "polls.lua", SECONDS, str(on.place.world.tokens))


def _submit(on: Stand, options: Options) -> None:
    wrk(on, "submissions.lua", SECONDS, str(on.place.world.tokens), "-")


def _callback(on: Stand, options: Options) -> None:
    wrk(on, "callbacks.lua", SECONDS, CALLBACK_SECRET, "progress", str(options.reported), "0")


_WORK: dict[str, tuple[Start, Callable[[Stand, Options], None]]] = {
    "connect": (gateway.websocket, _connect),
    "deliver": (gateway.websocket, _deliver),
    "poll": (gateway.http, _poll),
    "submit": (gateway.http, _submit),
    "callback": (gateway.http, _callback),
}

OPERATIONS = tuple(_WORK)


def profile(operation: str, options: Options) -> str:
    """Run the work of `operation` on the gateway and return its inclusive and its own share of each function."""
    start, work = _WORK[operation]
    with (
        tempfile.TemporaryDirectory(prefix="gateway-benchmark-") as folder,
        world(options.users, options.reported, Path(folder)) as made,
        stand(start, made) as on,
    ):
        if operation == "deliver":
            _connect(on, options)
        samples = Path(folder) / "samples"
        sampler = installation.python_peers() / "py-spy"
        command = [sampler, "record", "--pid", on.server.popen.pid, "--rate", SAMPLES_PER_SECOND]
        command += ["--format", "raw", "--duration", "unlimited", "--output", samples]
        words = [str(word) for word in command]
        with Process(words, core=machine.CLIENT_CORE, folder=Path(folder)) as spy:
            work(on, options)
            spy.popen.send_signal(signal.SIGINT)  # taskset and setpriv have become py-spy
            spy.popen.wait(WRITE_SECONDS)
        if not samples.exists():
            raise RuntimeError(f"py-spy recorded nothing: {spy.log.read_text()[-500:]}")
        return _report(samples.read_text().splitlines())


def _report(stacks: list[str]) -> str:
    inclusive: collections.Counter[str] = collections.Counter()
    own: collections.Counter[str] = collections.Counter()
    for stack in stacks:
        text, _, count = stack.rpartition(" ")
        frames = [frame.rpartition(":")[0] for frame in text.split(";")]
        own[frames[-1]] += int(count)
        inclusive.update(dict.fromkeys(frames, int(count)))
    total = own.total()
    for frame in [frame for frame, count in inclusive.items() if count > EVERYWHERE * total]:
        del inclusive[frame]  # the stem from which everything grows says nothing
    lines = [f"{total} samples"]
    for title, counter in (("with all that it calls", inclusive), ("by itself", own)):
        lines += ["", f"{title}:"]
        lines += [f"{100 * count / total:5.1f} %  {frame}" for frame, count in counter.most_common(LINES)]
    return "\n".join(lines)
