"""The real clients, installed from npm and PyPI when they are first asked for."""

import os
import sys
from pathlib import Path

from filelock import FileLock

from tests import npm

JAVASCRIPT = {"newest": "2.119.1", "v276": "2.76.1", "v245": "2.45.6"}
"""Releases of @supabase/supabase-js: the newest, and two that joined in other ways."""

PYTHON = "supabase==2.34.1"
"""The Python client."""

_WANTED = {
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
    folder = _folder()
    npm.installed(folder, _WANTED)
    return folder


def python() -> Path:
    """The interpreter of an environment with the Python client: it wants other websockets than we do."""
    folder = _folder()
    interpreter = folder / "python" / "bin" / "python"
    with FileLock(folder / "pip.lock"):
        done = folder / "python" / PYTHON
        if not done.exists():
            npm.run([sys.executable, "-m", "venv", str(folder / "python")], folder)
            npm.run([str(interpreter), "-m", "pip", "install", "-q", PYTHON], folder)
            done.touch()
    return interpreter
