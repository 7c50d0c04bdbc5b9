"""`/`, `/admin` and `/static/…`: what a browser loads."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.static_files import static_files


async def index(request: Request) -> Response:
    """The form."""
    return static_files(request).answer(request, "index.html")


async def admin(request: Request) -> Response:
    """The dashboard. The page holds no data: what it shows is asked for with an administrator's credential."""
    return static_files(request).answer(request, "admin.html")


async def file(request: Request) -> Response:
    """A file."""
    return static_files(request).answer(request, request.path_params["path"])


def missing_page(request: Request, error: Exception) -> Response | None:
    """What a person sees who has followed a link to nowhere; None for other errors, and for programs."""
    is_missing = getattr(error, "status_code", None) == 404 and request.method == "GET"
    if not is_missing or not asks_for_page(request):
        return None
    return static_files(request).answer(request, "404.html", 404)


def asks_for_page(request: Request) -> bool:
    """Whether a browser asks for a page to show, and no script for data."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(("/api/", "/static/"))


routes = [
    Route("/", index, methods=["GET"]),
    Route("/admin", admin, methods=["GET"]),
    Route("/static/{path:path}", file, methods=["GET"]),
]
