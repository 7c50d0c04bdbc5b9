"""The app: built once, and served in front of a gateway."""

import asyncio
import contextlib
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from filelock import FileLock

from tests import npm
from tests.markdown import ROOT, code
from tests.running import eventually

_PACKAGES = {"dependencies": {"next": "16.4.6", "react": "^19", "react-dom": "^19"}}
_ENVIRONMENT = {"NEXT_TELEMETRY_DISABLED": "1"}

_HERE = Path(__file__).parent
_GATEWAY = "127.0.0.1:8000"
"""Where the page about deploying has the gateway."""


def configuration() -> str:
    """`next.config.js` as the page about deploying has it."""
    (block,) = [block for block in code(ROOT / "gateway" / "server" / "README.md", "js") if "rewrites" in block]
    assert _GATEWAY in block
    return block


def built(config: str) -> Path:
    """The folder of the app, built with `config`."""
    root = Path(os.environ.get("NEXTJS_FOLDER") or ROOT / ".nextjs")
    npm.installed(root, _PACKAGES)
    sources = {
        "next.config.js": config,
        **{f"app/{path.name}": path.read_text() for path in sorted((_HERE / "app").iterdir())},
        "app/gateway.js": (ROOT / "static" / "gateway.js").read_text(),
    }
    key = hashlib.sha256(repr((_PACKAGES, sources)).encode()).hexdigest()[:16]
    folder = root / f"built-{key}"
    with FileLock(root / "build.lock"):
        if not (folder / ".next" / "BUILD_ID").exists():
            for older in root.glob("built-*"):
                shutil.rmtree(older)
            for name, text in sources.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text)
            npm.run(["../node_modules/.bin/next", "build"], folder, **_ENVIRONMENT)
    return folder


@contextlib.asynccontextmanager
async def next_app(folder: Path, app: Path, port: int, gateway_port: int) -> AsyncIterator[None]:
    """Serve the built `app` from a copy in `folder` on `port`, in front of the gateway on `gateway_port`."""
    shutil.copytree(app, folder, ignore=shutil.ignore_patterns("cache"))
    (folder / "node_modules").symlink_to(app.parent / "node_modules")
    # A build has the rewrites' destinations in it, and each test a gateway of its own.
    for name in ("next.config.js", ".next/routes-manifest.json"):
        text = (folder / name).read_text()
        assert _GATEWAY in text
        (folder / name).write_text(text.replace(_GATEWAY, f"127.0.0.1:{gateway_port}"))
    log = folder / "next.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *("node", "node_modules/next/dist/bin/next", "start", "-H", "127.0.0.1", "-p", str(port)),
            cwd=folder,
            env={**os.environ, **_ENVIRONMENT},
            stdout=output,
            stderr=output,
        )

    async def is_ready() -> bool:
        assert process.returncode is None, log.read_text()
        return "Ready in" in log.read_text()

    try:
        await eventually(is_ready, 60)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
