"""`POST /api/ai-requests/{requestId}/cancel`: the request is not wanted any more."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.documents.operations import operation
from gateway.api.documents.schemas import READ_ERRORS, REQUEST_ID, USER, content, errors, ref
from gateway.api.errors import ApiError, not_found
from gateway.api.parsing import request_id_of, user_of
from gateway.api.responses import json_response
from gateway.state import state_of
from storage import cancellations, reads
from storage.request import encode_body
from storage.transitions import Outcome


@operation(
    "Cancel an unfinished request, as its owner or an administrator",
    description=(
        "What was not sent to n8n never is. What n8n works on is stopped there, where its API may be used; a picture "
        "that comes all the same still wins."
    ),
    security=USER,
    parameters=[REQUEST_ID],
    responses={
        "200": content(ref("Body"), "Canceled; a repeat answers the same."),
        **READ_ERRORS,
        **errors((404, "Unknown, or another user's."), (409, "It ended otherwise.")),
    },
)
async def cancel(request: Request) -> Response:
    """Cancel an unfinished request, as its owner or an administrator. A repeat answers the same.

    What was not sent to n8n never is; what n8n works on is stopped there after the answer, where n8n can be asked.
    """
    user = await user_of(request)
    state = state_of(request)
    found = await reads.read(state.database, request_id_of(request))
    if found is None or not (user.is_admin or found.user_id == user.id):
        raise not_found()
    actor = f"user:{user.id}" if found.user_id == user.id else f"admin:{user.id}"
    applied = await cancellations.cancel(state.database, found.id, actor=actor)
    if applied.request is None:
        raise not_found()
    if applied.outcome is Outcome.IGNORED:
        ended = applied.request.status
        raise ApiError(409, "already_final", f"The request has already {ended}, so it cannot be canceled.")
    state.announcer.announce_change(applied, actor=actor)
    return json_response(encode_body(applied.request, state.urls))


routes = [Route("/api/ai-requests/{request_id}/cancel", cancel, methods=["POST"])]
