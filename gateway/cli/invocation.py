"""Commands as the person at this terminal has to type them."""

import shlex
import shutil
import sys
from importlib.metadata import requires
from pathlib import Path

import gateway

DISTRIBUTION = "ai-image-gateway"


def command(*arguments: str) -> str:
    """`gateway` with `arguments`, started as this process was."""
    return shlex.join([*_program(), *arguments])


def install_command(extra: str) -> str:
    """How to install the extra `extra` into the environment in which this process runs."""
    pip = [*_python(), "-m", "pip", "install"]
    root = Path(gateway.__file__).parents[1]
    if (root / "pyproject.toml").is_file():
        return shlex.join([*pip, "-e", f"{_seen_from_here(root)}[{extra}]"])
    wanted = [line.partition(";")[0].strip() for line in requires(DISTRIBUTION) or () if _is_of(line, extra)]
    return shlex.join([*pip, *wanted])


def _is_of(requirement: str, extra: str) -> bool:
    return f'extra == "{extra}"' in requirement.replace("'", '"')


def _program() -> list[str]:
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return [*_python(), "-m", "gateway"]
    found = shutil.which(started.name)
    if found is not None and Path(found).resolve() == started.resolve():
        return [started.name]
    return [_seen_from_here(started)]


def _python() -> list[str]:
    for name in ("python", "python3"):
        if (found := shutil.which(name)) is not None and Path(found).absolute() == Path(sys.executable).absolute():
            return [name]
    return [_seen_from_here(Path(sys.executable))]


def _seen_from_here(path: Path) -> str:
    """`path` from the current folder where it lies below it, else in full."""
    here = Path.cwd()
    whole = path.absolute()
    return str(whole.relative_to(here)) if whole.is_relative_to(here) else str(whole)
