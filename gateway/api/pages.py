"""`/` and `/static/…`: what a browser loads."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

_PACKAGE = Path(__file__).parent.parent

STATIC = _PACKAGE / "static" if (_PACKAGE / "static").is_dir() else _PACKAGE.parent / "static"
"""The files: inside the package when it is installed from a wheel, beside it in a working copy."""


async def index(request: Request) -> Response:
    """The form."""
    return FileResponse(STATIC / "index.html")


async def admin(request: Request) -> Response:
    """The dashboard. The page holds no data: what it shows is asked for with an administrator's credential."""
    return FileResponse(STATIC / "admin.html")


routes: list[BaseRoute] = [
    Route("/", index, methods=["GET"]),
    Route("/admin", admin, methods=["GET"]),
    Mount("/static", StaticFiles(directory=STATIC), name="static"),
]
