"""Debian's nginx, with its defaults, in front of something."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.debian import program
from tests.running import eventually
from tests.servers import free_port

_CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {server}
    }}
}}
"""


@contextlib.asynccontextmanager
async def nginx(folder: Path, server: str) -> AsyncIterator[str]:
    """Run nginx with the directives of one `server`; its URL."""
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, server=server))
    binary = await asyncio.to_thread(program, ("nginx",), ("nginx-light",))
    process = await asyncio.create_subprocess_exec(
        binary, "-p", str(folder), "-c", str(configuration), stderr=asyncio.subprocess.DEVNULL
    )

    async def listens() -> bool:
        assert process.returncode is None, (folder / "error.log").read_text()
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
