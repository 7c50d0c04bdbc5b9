"""What our server adds to the scope of an ASGI request. Behind another server there is none."""

from starlette.types import Scope

ABORT = "gateway.abort"
"""Drops the connection: a function without arguments."""

RECEIVED_BODY = "gateway.received_body"
"""Tells the body, if all of it has come: a function without arguments, that returns bytes or None."""


def abort(scope: Scope) -> None:
    """Drop the connection behind `scope`, whatever is unsent: a peer that no longer reads answers no polite close."""
    drop = scope.get("extensions", {}).get(ABORT)
    if drop is not None:
        drop()


def received_body(scope: Scope) -> bytes | None:
    """The body, which then need not be waited for; None while it is still coming."""
    receive = scope.get("extensions", {}).get(RECEIVED_BODY)
    body: bytes | None = None if receive is None else receive()
    return body
