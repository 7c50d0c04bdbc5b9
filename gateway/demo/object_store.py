"""A stand-in for Supabase Storage: public objects from a folder."""

import uuid
from pathlib import Path

from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles


class ObjectStore:
    """Keeps objects as files and serves them where Supabase serves public ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.routes: list[BaseRoute] = [Mount("/storage/v1/object/public", StaticFiles(directory=folder))]

    def put(self, key: str, content: bytes) -> dict[str, str]:
        """Store `content` under ``bucket/path`` and answer as Supabase does."""
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return {"Id": str(uuid.uuid4()), "Key": key}
