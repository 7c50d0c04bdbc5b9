"""The tools and peers: compiled, installed from npm and PyPI into a cache folder, or asked for from apt."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.benchmarks.engine.processes import environment

HERE = Path(__file__).parent
INSTALL_SECONDS = 300


class Unavailable(Exception):
    """A peer cannot be measured here; the text says why, and what to install."""


def _cache_folder() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "ai-image-gateway" / "benchmark"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(*command: str | Path, folder: Path, what: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment({}), capture_output=True, text=True, timeout=INSTALL_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{what}: {error}") from None
    if done.returncode != 0:
        raise Unavailable(f"{what}: {(done.stderr or done.stdout).strip()[-500:]}")


def program(name: str, package: str) -> Path:
    """Where the program `name` lies.

    Raises:
        Unavailable: it is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed: apt-get install {package}")
    return Path(found)


def _up_to_date(made: Path, sources: list[Path]) -> bool:
    return made.exists() and made.stat().st_mtime >= max(source.stat().st_mtime for source in sources)


@cache
def native(name: str) -> Path:
    """The program of the folder `native/<name>`, compiled when its source is newer.

    Raises:
        Unavailable: there is no compiler.
    """
    sources = sorted((HERE / "native" / name).glob("*.[ch]"))
    made = _cache_folder() / name
    if not _up_to_date(made, sources):
        compiler = program("gcc", "gcc libc6-dev")
        flags = ["-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]
        units = [source for source in sources if source.suffix == ".c"]
        _run(compiler, *flags, "-o", made, *units, folder=made.parent, what=f"compiling {name}")
    return made


@cache
def node_peer(script: str) -> Path:
    """`peers/<script>` beside its installed packages.

    Raises:
        Unavailable: node or npm is missing, or the packages cannot be installed.
    """
    program("node", "nodejs")
    npm = program("npm", "npm")
    folder = _cache_folder() / "node"
    folder.mkdir(exist_ok=True)
    lock = HERE / "peers" / "package-lock.json"
    if not _up_to_date(folder / "node_modules" / ".package-lock.json", [lock]):
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "peers" / name, folder)
        _run(npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", folder=folder, what="npm ci")
        (folder / "node_modules" / ".package-lock.json").touch()
    for source in (HERE / "peers").glob("*.js"):
        shutil.copy(source, folder)
    return folder / script


@cache
def python_peers() -> Path:
    """The `bin` folder of an environment with `peers/requirements.txt`.

    Raises:
        Unavailable: the packages cannot be installed.
    """
    folder = _cache_folder() / "python"
    requirements = HERE / "peers" / "requirements.txt"
    stamp = folder / "installed"
    if not _up_to_date(stamp, [requirements]):
        _run(sys.executable, "-m", "venv", "--clear", folder, folder=folder.parent, what="python -m venv")
        pip: list[str | Path] = [
            folder / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        _run(*pip, "-r", requirements, folder=folder, what="pip install")
        stamp.touch()
    return folder / "bin"
