"""Programs that tests need from Debian's packages: installed where this user may, named where not; never skipped."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"))


def program(names: tuple[str, ...], packages: tuple[str, ...]) -> str:
    """The path of the first of `names` that is there, after an attempt to install `packages` where none is."""

    def find() -> str | None:
        return next((found for name in names if (found := shutil.which(name, path=PATH))), None)

    with FileLock(Path(tempfile.gettempdir()) / "gateway-tests-apt.lock"):
        if (found := find()) is not None:
            return found
        if shutil.which("apt-get") is None or os.geteuid() != 0:
            pytest.fail(f"This test needs {names[0]}. Install it: sudo apt-get install {packages[0]}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            done = subprocess.run(["apt-get", *command], env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.fail(f"apt-get {' '.join(command)} failed:\n{done.stderr}")
        found = find()
        assert found is not None, f"apt installed {packages[0]}, but {names[0]} is not on the PATH"
        return found
