"""Polls, submissions and callbacks, by wrk."""

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.benchmarks.engine import installation, machine
from tests.benchmarks.engine.metering import per_operation
from tests.benchmarks.engine.options import Options
from tests.benchmarks.engine.processes import Process
from tests.benchmarks.engine.stand import Measured, Stand
from tests.benchmarks.engine.world import CALLBACK_SECRET

CONNECTIONS = 32
LUA = Path(__file__).parents[1] / "lua"
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3}


def wrk(stand: Stand, script: str, seconds: int, *arguments: str) -> Measured:
    """Requests a second, and the CPU time of each in microseconds, of server, PostgreSQL and Redis apart.

    Raises:
        RuntimeError: wrk failed, or took far too long.
    """
    program = installation.program("wrk", "wrk")
    url = f"http://127.0.0.1:{stand.place.port}"
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(LUA / script), url, "--", *arguments]
    written, meter = stand.place.world.events(), stand.meter()
    with Process(
        [program, *options], core=machine.CLIENT_CORE, folder=stand.place.folder, stdout=subprocess.PIPE
    ) as running:
        output, _ = running.popen.communicate(timeout=seconds + 30)
    result = {**_parse(output), **meter.read()}
    per_operation(result, result["requests"])
    result["written"] = stand.place.world.events() - written
    return result


def _parse(output: str) -> Measured:
    counted = re.search(r"(\d+) requests in", output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if counted is None or rate is None or not int(counted[1]):
        raise RuntimeError(f"wrk measured nothing:\n{output}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    result: Measured = {
        "requests": int(counted[1]),
        "rate": float(rate[1]),
        "refused": int(refused[1]) if refused else 0,
        "broken": sum(map(int, broken.groups())) if broken else 0,
    }
    for share, number, unit in re.findall(r"\b(50|99)%\s+([\d.]+)(us|ms|s|m)\b", output):
        result[f"p{share}_us"] = float(number) * _UNITS[unit] * 1000
    return result


def polls(stand: Stand, options: Options) -> list[Measured]:
    """`GET /api/ai-status/{requestId}`."""
    tokens = str(stand.place.world.tokens)
    wrk(stand, "polls.lua", options.warm_up_seconds, tokens)
    return [{"variant": "", **wrk(stand, "polls.lua", options.http_seconds, tokens)}]


def submissions(stand: Stand, options: Options) -> list[Measured]:
    """`POST /api/ai-generate`, without and with an idempotency key."""
    tokens = str(stand.place.world.tokens)
    wrk(stand, "submissions.lua", options.warm_up_seconds, tokens, "-")
    plain = wrk(stand, "submissions.lua", options.http_seconds, tokens, "-")
    keyed = wrk(stand, "submissions.lua", options.http_seconds, tokens, f"{stand.place.port}-")
    return [
        {"variant": "", **_with_unwritten(plain)},
        {"variant": "with an idempotency key", **_with_unwritten(keyed)},
    ]


def _with_unwritten(result: Measured) -> Measured:
    """Add how many requests wrote no event: they did not do the work, whatever they were answered."""
    return {**result, "unwritten": max(0, result["requests"] - result["written"])}


def callbacks(stand: Stand, options: Options) -> list[Measured]:
    """`POST /api/ai-callback`: progress, then completion, each of which changes a row."""
    reported = stand.place.world.reported
    warm_up = wrk(stand, "callbacks.lua", options.warm_up_seconds, CALLBACK_SECRET, "progress", str(reported), "0")
    offset = str(warm_up["requests"] + CONNECTIONS)
    results = []
    for kind, first in (("progress", offset), ("completed", "0")):
        arguments = (CALLBACK_SECRET, kind, str(reported), first)
        result = wrk(stand, "callbacks.lua", options.http_seconds, *arguments)
        results.append({"variant": kind, **_with_unwritten(result)})
    return results


ROWS: Mapping[str, Callable[[Stand, Options], list[Measured]]] = {
    "polls": polls,
    "submissions": submissions,
    "callbacks": callbacks,
}


def measure(row: str, stand: Stand, options: Options) -> list[Measured]:
    """One of `ROWS`, on rows as they were at first."""
    stand.place.world.fresh()
    return ROWS[row](stand, options)
