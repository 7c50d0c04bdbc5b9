"""The real clients, installed from npm and PyPI when they are first asked for."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

JAVASCRIPT = {"newest": "2.119.1", "v276": "2.76.1", "v245": "2.45.6"}
"""Releases of @supabase/supabase-js: the newest, and two that joined in other ways."""

PYTHON = "supabase==2.34.1"
"""The Python client."""

_WANTED = {
    "private": True,
    "dependencies": {
        **{name: f"npm:@supabase/supabase-js@{version}" for name, version in JAVASCRIPT.items()},
        "ws": "8.18.3",  # Node 20 has no WebSocket of its own
        # What the original design's component imports, and what makes one script of it.
        "@supabase/supabase-js": JAVASCRIPT["newest"],
        "@supabase/ssr": "^0.12",
        "react": "^19",
        "react-dom": "^19",
        "lucide-react": "^0.500",
        "esbuild": "^0.25",
    },
}


def _folder() -> Path:
    root = Path(__file__).parents[2]
    folder = Path(os.environ.get("SUPABASE_CLIENTS_FOLDER") or root / ".supabase-clients")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def javascript() -> Path:
    """The folder whose `node_modules` hold the JavaScript clients."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        pytest.fail(f"These tests need {' and '.join(missing)}. Install Node 20 or newer: https://nodejs.org")
    folder = _folder()
    with FileLock(folder / "npm.lock"):
        package, done = folder / "package.json", folder / "node_modules" / ".package-lock.json"
        wanted = json.dumps(_WANTED)
        if not done.exists() or not package.exists() or package.read_text() != wanted:
            package.write_text(wanted)
            _run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], folder)
    return folder


def python() -> Path:
    """The interpreter of an environment with the Python client: it wants other websockets than we do."""
    folder = _folder()
    interpreter = folder / "python" / "bin" / "python"
    with FileLock(folder / "pip.lock"):
        done = folder / "python" / PYTHON
        if not done.exists():
            _run([sys.executable, "-m", "venv", str(folder / "python")], folder)
            _run([str(interpreter), "-m", "pip", "install", "-q", PYTHON], folder)
            done.touch()
    return interpreter


def _run(command: list[str], folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}  # ours, not theirs
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
