"""Packages from npm, installed when tests first ask for them."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock


def installed(folder: Path, wanted: Mapping[str, Any]) -> None:
    """Let `folder` hold `node_modules` with what `wanted`, a `package.json`, names."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        pytest.fail(f"These tests need {' and '.join(missing)}. Install Node 20 or newer: https://nodejs.org")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "npm.lock"):
        package, done = folder / "package.json", folder / "node_modules" / ".package-lock.json"
        text = json.dumps({"private": True, **wanted})
        if not done.exists() or not package.exists() or package.read_text() != text:
            package.write_text(text)
            run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], folder)


def run(command: list[str], folder: Path, **environment: str) -> None:
    """Run a command of an installation to its end."""
    ours = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}  # not theirs
    done = subprocess.run(command, cwd=folder, env={**ours, **environment}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
