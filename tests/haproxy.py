"""Debian's HAProxy in front of something."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.debian import program
from tests.running import eventually
from tests.servers import free_port


@contextlib.asynccontextmanager
async def haproxy(folder: Path, configuration: str, backend: str) -> AsyncIterator[str]:
    """Run HAProxy with `configuration`, before that backend of it; its URL."""
    port = free_port()
    file = folder / "haproxy.cfg"
    file.write_text(f"{configuration}\n\nfrontend entrance\n    bind 127.0.0.1:{port}\n    default_backend {backend}\n")
    binary = await asyncio.to_thread(program, ("haproxy",), ("haproxy",))
    log = folder / "haproxy.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(binary, "-db", "-f", str(file), stdout=output, stderr=output)

    async def listens() -> bool:
        assert process.returncode is None, log.read_text()
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            return True
        return False

    try:
        await eventually(listens)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
