"""n8n and the Node that it runs on, both as npm's packages, in one folder for each version."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock


@dataclass(frozen=True)
class Version:
    """A version of n8n, and the Node that it wants."""

    n8n: str
    node: str

    @property
    def line(self) -> str:
        """The minor line that it is the newest installable one of: ``2.8``."""
        return self.n8n.rpartition(".")[0]

    @property
    def can_stop(self) -> bool:
        """Whether its public API can stop an execution."""
        return self.line != "2.8"


VERSIONS = (Version("2.8.4", node="20.20.2"), Version("2.41.1", node="24.21.0"))
"""The oldest and the newest that are tested. (2.41.3 cannot be installed: a package that it depends on is missing.)"""

_NATIVE = ("sqlite3", "isolated-vm")
"""What is compiled, where it is wanted. No other script runs: that of a Kafka client fetches sources and takes long."""

_REPORT = "installed"


@dataclass(frozen=True)
class Installation:
    """n8n's program, and an environment in which it finds its Node."""

    program: Path
    environment: dict[str, str]


def installed(version: Version) -> Installation:
    """This version of n8n, installed first if it is missing."""
    root = Path(os.environ.get("N8N_FOLDER") or Path(__file__).parents[2] / ".n8n")
    folder = root / version.n8n
    folder.mkdir(parents=True, exist_ok=True)
    node = folder / "node_modules" / "node" / "bin"
    environment = os.environ | {"PATH": f"{node}{os.pathsep}{os.environ['PATH']}"}
    # n8n takes xlsx from a place outside the registry.
    wanted = json.dumps(
        {"dependencies": {"n8n": version.n8n, "node": version.node}, "overrides": {"xlsx": "0.18.5"}}, indent=1
    )
    with FileLock(root / f"{version.n8n}.lock"):
        report = folder / _REPORT
        if not report.exists() or report.read_text() != wanted:
            (folder / "package.json").write_text(wanted)
            _run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], folder, os.environ)
            _run(["npm", "rebuild", "node"], folder, os.environ)
            (headers,) = (folder / "node_modules" / "node" / "node_modules").glob("*/include/node")
            nodedir = {"npm_config_nodedir": str(headers.parents[1])}  # else they would be fetched from elsewhere
            _run(["npm", "rebuild", *_NATIVE], folder, environment | nodedir)
            report.write_text(wanted)
    return Installation(folder / "node_modules" / ".bin" / "n8n", environment)


def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)} failed in {folder}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
