"""`/`, `/admin` and `/static/…`: what a browser loads."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.static_files import static_files


async def index(request: Request) -> Response:
    """The form."""
    return static_files().answer(request, "index.html")


async def admin(request: Request) -> Response:
    """The dashboard. The page holds no data: what it shows is asked for with an administrator's credential."""
    return static_files().answer(request, "admin.html")


async def file(request: Request) -> Response:
    """A file."""
    return static_files().answer(request, request.path_params["path"])


routes = [
    Route("/", index, methods=["GET"]),
    Route("/admin", admin, methods=["GET"]),
    Route("/static/{path:path}", file, methods=["GET"]),
]
