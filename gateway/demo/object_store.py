"""A stand-in for Supabase Storage: public objects from a folder, and their small variants."""

import asyncio
import io
import uuid
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageOps
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from gateway.api.errors import ApiError, not_found

MOST_PIXELS = 1000
"""Largest width or height of a variant (Supabase allows 2500): as many as are remembered fit into memory."""

VARIANTS_KEPT = 128
"""Most variants that are remembered; past it the one shown longest ago is made anew."""

CACHE_SECONDS = 3600
"""How long a browser keeps a variant, as Supabase has it."""


class ObjectStore:
    """Keeps objects as files and serves them where Supabase serves public ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._making = asyncio.Semaphore(1)  # a picture that is decoded takes megabytes
        self._variant = lru_cache(maxsize=VARIANTS_KEPT)(_variant)
        self.routes: list[BaseRoute] = [
            Mount("/storage/v1/object/public", StaticFiles(directory=folder)),
            Route("/storage/v1/render/image/public/{key:path}", self._render, methods=["GET"]),
        ]

    def put(self, key: str, content: bytes) -> dict[str, str]:
        """Store `content` under ``bucket/path`` and answer as Supabase does."""
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return {"Id": str(uuid.uuid4()), "Key": key}

    async def _render(self, request: Request) -> Response:
        """A variant that covers ``width`` and ``height``, as Supabase's image transformations make it."""
        size = _pixels(request, "width"), _pixels(request, "height")
        path = self._path_of(request.path_params["key"])
        as_webp = "image/webp" in request.headers.get("accept", "")
        async with self._making:
            content = await asyncio.to_thread(self._variant, path, size, "WEBP" if as_webp else "PNG")
        headers = {"Cache-Control": f"max-age={CACHE_SECONDS}", "Vary": "Accept"}
        return Response(content, media_type="image/webp" if as_webp else "image/png", headers=headers)

    def _path_of(self, key: str) -> Path:
        try:
            path = (self._folder / key).resolve()
            if path.is_relative_to(self._folder.resolve()) and path.is_file():
                return path
        except (OSError, ValueError):
            pass  # a name that no file can have
        raise not_found("Object")


def _pixels(request: Request, name: str) -> int:
    text = request.query_params.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST_PIXELS)) and 0 < int(text) <= MOST_PIXELS):
        raise ApiError(400, "invalid_parameter", f"{name} must be a number from 1 to {MOST_PIXELS}.")
    return int(text)


def _variant(path: Path, size: tuple[int, int], kind: str) -> bytes:
    output = io.BytesIO()
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            ImageOps.fit(picture.convert("RGB"), size).save(output, kind, quality=80)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ApiError(400, "invalid_image", "The object is no picture of which a variant can be made.") from error
    return output.getvalue()
