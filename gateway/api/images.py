"""`GET /api/ai-images/{requestId}/{token}`: the stable URL of a picture in a private bucket.

Whoever has the URL may see the picture, as with a public one: an `<img>` sends no token. It cannot be guessed, and it
leads to a signed URL that soon ends.
"""

import hmac

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.api.documents.operations import operation
from gateway.api.documents.schemas import REQUEST_ID, TEXT, errors, parameter
from gateway.api.errors import ApiError, not_found
from gateway.ids import parse_id
from gateway.signed_urls import NoSuchObject, StorageUnavailable
from gateway.state import state_of
from gateway.telemetry.logging import log_fields
from storage import reads
from storage.lifecycle import Status
from storage.public_urls import PICTURES

log = structlog.get_logger(__name__)

CACHE_SECONDS = 300
"""How long a browser may keep the redirect: well below the life of what it leads to."""


@operation(
    "The picture of a private bucket",
    parameters=[
        REQUEST_ID,
        parameter("token", "path", "What makes the URL unguessable.", TEXT, required=True),
        parameter("size", "query", "`small`: a thumbnail, where the object store makes any.", {"enum": ["small", ""]}),
    ],
    responses={
        "302": {"description": "`Location` is a signed URL that soon ends."},
        **errors(
            (400, "Another size."),
            (404, "No such picture."),
            (503, "The object store, or the database, is briefly unavailable."),
        ),
    },
)
async def image(request: Request) -> Response:
    """Redirect to the picture."""
    state = state_of(request)
    request_id, token = parse_id(request.path_params["request_id"]), request.path_params["token"]
    found = None if request_id is None else await reads.read(state.database, request_id)
    if found is None or not hmac.compare_digest(found.picture_token.encode(), token.encode(errors="surrogateescape")):
        raise not_found("Picture")
    if (
        found.status is not Status.COMPLETED
        or found.storage_key is None
        or not state.urls.is_private(found.storage_key)
    ):
        raise not_found("Picture")
    size = request.query_params.get("size", "")
    if size not in ("", "small"):
        raise ApiError(400, "invalid_parameter", "size must be small, or left out.")
    small = size == "small" and state.settings.storage_thumbnails
    try:
        url = await state.signed_urls.of(found.storage_key, small=small)
    except NoSuchObject as error:
        log.warning("picture_missing", **log_fields(found))
        raise not_found("Picture") from error
    except StorageUnavailable as error:
        log.warning("picture_not_signed", **log_fields(found), reason=str(error))
        raise ApiError(
            503,
            "storage_unavailable",
            "The object store is briefly unavailable. Please try again.",
            {"Retry-After": "2"},
        ) from error
    return RedirectResponse(url, 302, {"Cache-Control": f"private, max-age={CACHE_SECONDS}"})


routes = [Route(PICTURES + "/{request_id}/{token}", image, methods=["GET"])]
