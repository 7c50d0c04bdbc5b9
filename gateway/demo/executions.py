"""What the stand-in for n8n works on, in files: an execution that was cut off is found again."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout


class Execution(msgspec.Struct):
    """One run of the workflow: its number, what the webhook was sent, and how far it is."""

    id: str
    payload: dict[str, str]
    step: int = 0


class Executions:
    """The unfinished executions of one stand-in, a file each.

    Several server processes share `folder`: each takes a part of it for as long as it lives, and a process that takes
    the place of a dead one finds the dead one's part.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._part = folder

    @contextlib.contextmanager
    def taken(self) -> Iterator[list[Execution]]:
        """Hold a part for the length of the block; what was left unfinished in it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            lock = FileLock(self._folder / f"{number}.lock", blocking=False)
            with contextlib.suppress(Timeout), lock:
                self._part = self._folder / str(number)
                self._part.mkdir(exist_ok=True)
                yield list(self._unfinished())
                return
            number += 1

    def _unfinished(self) -> Iterator[Execution]:
        for path in sorted(self._part.glob("*.json")):
            with contextlib.suppress(msgspec.DecodeError):
                yield msgspec.json.decode(path.read_bytes(), type=Execution)

    def keep(self, execution: Execution) -> None:
        """Write down how far the execution is."""
        path = self._path(execution)
        new = path.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(execution))
        new.replace(path)

    def forget(self, execution: Execution) -> None:
        """The execution has ended."""
        self._path(execution).unlink(missing_ok=True)

    def _path(self, execution: Execution) -> Path:
        return self._part / f"{execution.id}.json"
