"""What our server adds to the scope of an ASGI request. Behind another server there is none."""

from starlette.types import Scope

HAND_OVER = "gateway.hand_over"
"""Takes a response whose head has been sent out of ASGI: a function of a `StreamSession`, that returns what carries it
from now on (`gateway.realtime.connection`). It raises `ConnectionError` when the client has gone."""

RECEIVED_BODY = "gateway.received_body"
"""Tells the body, if all of it has come: a function without arguments, that returns bytes or None."""


def received_body(scope: Scope) -> bytes | None:
    """The body, which then need not be waited for; None while it is still coming."""
    receive = scope.get("extensions", {}).get(RECEIVED_BODY)
    body: bytes | None = None if receive is None else receive()
    return body
