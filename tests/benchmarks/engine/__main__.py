"""Measure the gateway beside its peers: all rows, or the named ones. README.md says what they mean."""

import argparse
import contextlib
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from tests.benchmarks.engine import machine
from tests.benchmarks.engine.options import QUICK, Options
from tests.benchmarks.engine.peers import LABELS
from tests.benchmarks.engine.profile import OPERATIONS, profile
from tests.benchmarks.engine.results import Result
from tests.benchmarks.engine.run import ROWS, Run
from tests.benchmarks.engine.table import table
from tests.benchmarks.engine.world import world


def _names(allowed: "tuple[str, ...]", text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in allowed]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(allowed)}")
    return names


def _arguments() -> argparse.Namespace:
    peers = tuple(name for name in LABELS if name != "floor")
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.engine", description=__doc__)
    parser.add_argument("--rows", type=lambda text: _names(ROWS, text), default=list(ROWS), help=", ".join(ROWS))
    parser.add_argument("--peers", type=lambda text: _names(peers, text), default=list(peers), help=", ".join(peers))
    parser.add_argument("--quick", action="store_true", help="few connections, short steps: does everything work?")
    parser.add_argument("--connections", type=int, help="instead of 5,000")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the table there, and FILE.jsonl beside it")
    parser.add_argument("--profile", choices=OPERATIONS, help="print where the gateway spends its time, and no table")
    return parser.parse_args()


def _heading(options: Options) -> str:
    when = datetime.now(UTC)
    return f"{when:%d %B %Y %H:%M} UTC, {machine.description()}; {options.connections:,} connections, 400-byte messages"


@contextlib.contextmanager
def _raw_lines(output: Path | None) -> Iterator[list[TextIO]]:
    """Where the raw results go: to standard error, and beside the table."""
    if output is None:
        yield [sys.stderr]
        return
    with output.with_name(output.name + ".jsonl").open("w") as file:
        yield [sys.stderr, file]


def _measure(arguments: argparse.Namespace, options: Options) -> None:
    results: list[Result] = []
    with (
        tempfile.TemporaryDirectory(prefix="gateway-benchmark-world-") as folder,
        world(options.users, options.reported, Path(folder)) as made,
        _raw_lines(arguments.output) as raw,
    ):
        try:
            for result in Run(made, options, arguments.peers, arguments.rows).results():
                results.append(result)
                for lines in raw:
                    print(result.line(), file=lines, flush=True)
        finally:
            text = f"{_heading(options)}\n\n{table(results)}\n"
            print(text)
            if arguments.output is not None:
                arguments.output.write_text(text)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = _arguments()
    options = QUICK if arguments.quick else Options()
    if arguments.connections:
        options = replace(options, connections=arguments.connections)
    try:
        machine.prepare()
        if arguments.profile:
            print(profile(arguments.profile, options))
        else:
            _measure(arguments, options)
    except RuntimeError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
